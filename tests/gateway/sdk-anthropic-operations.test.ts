/** Every operation of the Anthropic dialect through the vendor's own SDK, plain and streamed; and what is refused by name. */
import Anthropic, * as sdk from '@anthropic-ai/sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startDemoModel, type DemoModel } from '../../src/demo/model.ts';
import {
  codeOf,
  drain,
  errorOf,
  say,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';

let demo: DemoModel;
let running: RunningBroker;
let access: Access;
let client: Anthropic;
let model: string;
/** Requests that the SDK has sent, retries among them. */
let sent: number;

const FEATURES = { streaming: true, systemPrompt: true, tools: true, reasoning: true };

beforeAll(async () => {
  demo = await startDemoModel({ paceMs: 0 });
  model = demo.models[0] ?? '';
  const features = { ...FEATURES, maxOutputTokens: 4096 };
  running = await startRunningBroker({
    upstreamUrl: demo.url,
    endpoint: { models: [model], features },
  });
  access = await running.access({
    endpoints: [{ endpoint: 'demo', models: [model] }],
    operations: ['messages', 'messages.count_tokens', 'models'],
    features,
  });
  client = new Anthropic({
    baseURL: running.url,
    apiKey: access.token,
    fetch: (url, init) => {
      sent += 1;
      return fetch(url, init);
    },
  });
});
afterEach(() => running.checkUpstream());
afterAll(async () => {
  await running.close();
  await demo.close();
});

const hello = () => ({ model, max_tokens: 100, messages: [say('count to 3')] });

const tool = {
  name: 'weather',
  description: 'The weather of a city',
  input_schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' } },
    required: ['city'],
  },
};

/** What the log says of the last request: its two entries. */
function lastRequest(): unknown[] {
  const [outcome] = running.entries({ kind: 'request.outcome', grant: access.grant.id }).slice(-1);
  return running.entries({ ref: outcome?.ref ?? '' });
}

describe('messages', () => {
  it('are answered whole and as a stream, with the same text and usage, which are settled', async () => {
    const whole = await client.messages.create(hello());
    expect(whole.content).toEqual([{ type: 'text', text: '1 2 3' }]);
    const events = await drain(await client.messages.create({ ...hello(), stream: true }));
    expect(events.at(-1)?.type).toBe('message_stop');
    const final = await client.messages.stream(hello()).finalMessage();
    expect(final.content).toEqual(whole.content);
    expect(final.usage).toMatchObject(whole.usage);
    const { input_tokens: inputTokens, output_tokens: outputTokens } = whole.usage;
    expect(lastRequest()).toMatchObject([
      { kind: 'request.intent', operation: 'messages', model },
      {
        kind: 'request.outcome',
        data: { usage: { inputTokens, outputTokens, source: 'reported' } },
      },
    ]);
  });

  it('call tools, whole and streamed, and take their results', async () => {
    const asked = {
      ...hello(),
      messages: [say('use the tool')],
      tools: [tool],
      tool_choice: { type: 'auto' as const },
    };
    const whole = await client.messages.create(asked);
    expect(whole).toMatchObject({
      stop_reason: 'tool_use',
      content: [{ type: 'tool_use', name: 'weather', input: { city: 'demo' } }],
    });
    const parts: string[] = [];
    const stream = client.messages.stream(asked).on('inputJson', (part) => void parts.push(part));
    const streamed = await stream.finalMessage();
    expect(streamed.content).toMatchObject([{ type: 'tool_use', input: { city: 'demo' } }]);
    expect(parts.join('')).toBe('{"city":"demo"}');
    const call = streamed.content.find((block) => block.type === 'tool_use');
    const result = {
      type: 'tool_result' as const,
      tool_use_id: call?.id ?? '',
      content: '12 degrees',
    };
    const last = await client.messages.create({
      ...asked,
      messages: [
        ...asked.messages,
        { role: 'assistant', content: streamed.content },
        { role: 'user', content: [result] },
      ],
    });
    expect(last.stop_reason).toBe('end_turn');
  });

  it('think, whole and streamed, and what was thought can be sent back', async () => {
    const asked = { ...hello(), max_tokens: 2000, thinking: { type: 'adaptive' as const } };
    const whole = await client.messages.create(asked);
    expect(whole.content).toMatchObject([
      { type: 'thinking', thinking: expect.stringMatching(/\w/) as string },
      { type: 'text', text: '1 2 3' },
    ]);
    const final = await client.messages.stream(asked).finalMessage();
    expect(final.content).toEqual(whole.content);
    const messages = [
      ...asked.messages,
      { role: 'assistant' as const, content: final.content },
      say('count to 2'),
    ];
    const next = await client.messages.create({ ...asked, messages });
    expect(next.content).toMatchObject([{ type: 'thinking' }, { type: 'text', text: '1 2' }]);
  });

  it('of the beta half, with its own tool runner', async () => {
    const message = await client.beta.messages.create(hello());
    expect(message.content).toEqual([{ type: 'text', text: '1 2 3' }]);
    const inputs: unknown[] = [];
    const runner = client.beta.messages.toolRunner({
      ...hello(),
      messages: [say('use the tool')],
      // A thread is a conversation that the upstream keeps.
      thread: false,
      tools: [
        {
          ...tool,
          type: 'custom' as const,
          parse: (input: unknown) => input,
          run: (input: unknown) => {
            inputs.push(input);
            return '12 degrees';
          },
        },
      ],
    });
    expect((await runner.runUntilDone()).stop_reason).toBe('end_turn');
    expect(inputs).toEqual([{ city: 'demo' }]);
    const threaded = { ...hello(), thread: { type: 'create' as const } };
    const error = await errorOf(client.beta.messages.create(threaded));
    expect([error.status, codeOf(error)]).toEqual([403, 'feature_not_granted']);
    expect(error.error).toMatchObject({ error: { param: 'thread' } });
  });
});

describe('counting tokens', () => {
  it('counts what a message would be charged, is recorded as a request, and is charged none itself', async () => {
    const { grant } = access;
    const before = running.sums(grant);
    const { messages } = hello();
    const counted = await client.messages.countTokens({ model, messages, system: 'Be brief.' });
    expect(lastRequest()).toMatchObject([
      { operation: 'messages.count_tokens', data: { reserved: { tokens: 0, spendNanoUsd: 0 } } },
      { data: { end: 'completed', charged: { requests: 1, tokens: 0, spendNanoUsd: 0 } } },
    ]);
    expect(running.sums(grant)).toEqual({
      ...before,
      requestsSettled: (before?.requestsSettled ?? 0) + 1,
    });
    const message = await client.messages.create({ ...hello(), system: 'Be brief.' });
    expect(counted).toEqual({ input_tokens: message.usage.input_tokens });
  });

  it('of the beta half, which names a beta feature of its own', async () => {
    const { messages } = hello();
    const counted = await client.beta.messages.countTokens({ model, messages });
    expect(counted.input_tokens).toBeGreaterThan(0);
    const others = { model, messages, betas: ['context-1m-2025-08-07'] };
    const error = await errorOf(client.beta.messages.countTokens(others));
    expect([error.status, codeOf(error)]).toEqual([403, 'feature_not_granted']);
  });

  it('counts against limits of requests, and is held to the scope of the grant like a message', async () => {
    const narrow = await running.access({
      endpoints: [{ endpoint: 'demo', models: [model] }],
      operations: ['messages.count_tokens'],
      features: { maxOutputTokens: 10 },
      limits: { requestsPerMinute: 1 },
    });
    const countTokens = (changes: object) =>
      narrow.anthropic.messages.countTokens({ model, messages: [say('x')], ...changes });
    const refused = await errorOf(countTokens({ tools: [tool] }));
    expect([refused.status, codeOf(refused)]).toEqual([403, 'feature_not_granted']);
    const unknown = await errorOf(countTokens({ max_tokens: 5 }));
    expect([unknown.status, codeOf(unknown)]).toEqual([400, 'unknown_field']);
    await countTokens({});
    const limited = await errorOf(countTokens({}));
    expect([limited.status, codeOf(limited)]).toEqual([429, 'request_rate_limited']);
    const message = await errorOf(narrow.anthropic.messages.create({ ...hello(), max_tokens: 1 }));
    expect([message.status, codeOf(message)]).toEqual([403, 'operation_not_granted']);
  });
});

describe('the list of models', () => {
  it('is paged by the SDK, and one of it is retrieved', async () => {
    expect(await drain(client.models.list({ limit: 1 }))).toMatchObject([{ id: model }]);
    expect(await drain(client.beta.models.list())).toMatchObject([{ id: model }]);
    expect(await client.models.retrieve(model)).toMatchObject({ id: model, type: 'model' });
    expect(await client.beta.models.retrieve(model)).toMatchObject({ id: model });
  });
});

describe('what is not offered', () => {
  const ONES: Record<string, (of: Anthropic) => PromiseLike<unknown>> = {
    '/v1/messages/batches': (of) =>
      of.messages.batches.create({ requests: [{ custom_id: 'a', params: hello() }] }),
    '/v1/files': (of) => of.beta.files.list(),
    '/v1/skills': (of) => of.beta.skills.list(),
  };

  it.each(Object.entries(ONES))('%s: refused by name, once, on record', async (route, call) => {
    sent = 0;
    const error = await errorOf(call(client));
    expect(error).toBeInstanceOf(sdk.BadRequestError);
    expect([codeOf(error), sent]).toEqual(['not_supported', 1]);
    expect(error.message).toMatch(/(Message batches|Files|Skills) are not offered\./);
    expect(running.entries({ ref: error.headers?.get('request-id') ?? '' })).toMatchObject([
      { kind: 'request.denied', reason: 'not_supported', data: { route } },
    ]);
  });
});
