/** The Responses API through its own SDK: plain and streamed, tools, errors, state, what is settled. */
import * as openaiSdk from 'openai';
import type OpenAI from 'openai';
import { beforeEach, describe, expect, it } from 'vitest';
import { answerResponses } from '../../src/demo/model-responses.ts';
import { PARAMETERS, demo, sse } from '../support/demo-peer.ts';
import {
  MODEL,
  codeOf,
  drain,
  errorOf,
  say,
  type RunningBroker,
} from '../support/running-broker.ts';
import { FEATURES, openaiSetting } from '../support/openai-setting.ts';
import { stream } from '../support/scripted-upstream.ts';

const setting = openaiSetting();
const { sent, outcome, settled, ended } = setting;

let running: RunningBroker;
let openai: OpenAI;

beforeEach(() => ({ running, openai } = setting.now()));

describe('responses', () => {
  const ASK = { model: MODEL, input: 'Count to 5.', instructions: 'Be brief.' };
  const TOOL = { type: 'function' as const, name: 'weather', parameters: PARAMETERS, strict: true };

  it('answers, and is told to store nothing and to write no more than the grant allows', async () => {
    running.upstream.respond(demo(answerResponses));
    const answer = await openai.responses.create(ASK);
    expect(answer.output_text).toBe('1 2 3 4 5');
    expect(answer.status).toBe('completed');
    expect(sent()).toEqual({ ...ASK, max_output_tokens: 1000, store: false });
    expect(await settled()).toEqual(['completed', answer.usage?.input_tokens, 5, 'reported']);
    expect((await outcome()).data?.['modelMismatch']).toBeUndefined();
  });

  it('streams, and settles what the last event reports', async () => {
    running.upstream.respond(demo(answerResponses));
    const events = await drain(await openai.responses.create({ ...ASK, stream: true }));
    const text = events.map((event) =>
      event.type === 'response.output_text.delta' ? event.delta : '',
    );
    expect(text.join('')).toBe('1 2 3 4 5');
    const last = events.at(-1);
    if (last?.type !== 'response.completed') throw new Error(`it ended with ${last?.type}`);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_event, i) => i));
    const input = last.response.usage?.input_tokens;
    expect(await settled()).toEqual(['completed', input, 5, 'reported']);
    expect((await outcome()).data?.['modelAnswered']).toBe(MODEL);
  });

  it.each([false, true])(
    'calls a tool of the client and takes its result, streamed: %s',
    async (streamed) => {
      running.upstream.respond(demo(answerResponses));
      const ask = { model: MODEL, input: [say('Use the tool.')], tools: [TOOL] };
      const answer = streamed
        ? await openai.responses.stream(ask).finalResponse()
        : await openai.responses.create(ask);
      const [call] = answer.output;
      if (call?.type !== 'function_call') throw new Error('no call');
      expect([call.name, JSON.parse(call.arguments)]).toEqual(['weather', { city: 'demo' }]);
      const result = { type: 'function_call_output' as const, call_id: call.call_id, output: '21' };
      const after = await openai.responses.create({
        ...ask,
        // As the SDK's users do: the answer goes back as it came.
        input: [...ask.input, ...(answer.output as OpenAI.Responses.ResponseInputItem[]), result],
      });
      expect(after.output_text).toContain('You sent 3 messages');
    },
  );

  it('passes an answer that ended early as it is, plain and streamed', async () => {
    running.upstream.respond(demo(answerResponses));
    const plain = await openai.responses.create({ ...ASK, max_output_tokens: 3 });
    expect(plain).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: '1 2 3',
    });
    expect(await settled()).toMatchObject(['completed', expect.any(Number), 3, 'reported']);
    const events = await drain(
      await openai.responses.create({ ...ASK, max_output_tokens: 3, stream: true }),
    );
    expect(events.at(-1)?.type).toBe('response.incomplete');
  });

  it('does not take a text for an event, whatever it quotes', async () => {
    const quoted = '{"type":"response.completed","response":{"usage":{}}} [DONE] "error"';
    const delta = { type: 'response.output_text.delta', delta: quoted, response: null };
    const response = { model: MODEL, usage: { input_tokens: 3, output_tokens: 4 } };
    const completed = { type: 'response.completed', response };
    running.upstream.respond(
      stream([sse(delta, delta.type), sse(delta), sse(completed, completed.type)]),
    );
    const events = await drain(await openai.responses.create({ ...ASK, stream: true }));
    expect(events).toEqual([delta, delta, completed]);
    expect(await settled()).toEqual(['completed', 3, 4, 'reported']);
  });

  it('passes a failure on as the vendor tells it, and settles what it reports', async () => {
    const response = {
      model: MODEL,
      status: 'failed',
      error: { code: 'server_error', message: 'It broke.' },
      usage: { input_tokens: 3, output_tokens: 1 },
    };
    const failed = { type: 'response.failed', sequence_number: 1, response };
    running.upstream.respond(stream([sse(failed, failed.type)]));
    const events = await drain(await openai.responses.create({ ...ASK, stream: true }));
    expect(events).toEqual([failed]);
    expect(await settled()).toEqual(['upstream_error', 3, 1, 'reported']);
  });

  it('passes an error event of the upstream on, and nothing after it', async () => {
    const error = { type: 'error', code: 'x', message: 'It broke.', param: null };
    const created = { type: 'response.created', response: { model: MODEL } };
    running.upstream.respond(
      stream([sse(created, created.type), sse(error, 'error'), sse(created, created.type)]),
    );
    const events = await drain(await openai.responses.create({ ...ASK, stream: true }));
    expect(events).toEqual([created, error]);
    expect(await ended()).toBe('upstream_error');
  });

  it.each([
    ['without a terminal event', []],
    ['with the terminator of another API', ['data: [DONE]\n\n']],
  ])('raises where the stream ends %s', async (_how, rest) => {
    const created = { type: 'response.created', response: { model: MODEL } };
    running.upstream.respond(stream([sse(created, created.type), ...rest]));
    const error = await errorOf(openai.responses.create({ ...ASK, stream: true }).then(drain));
    expect(error).toBeInstanceOf(openaiSdk.APIError);
    expect([codeOf(error), error.message]).toEqual([
      'upstream_incomplete',
      expect.stringContaining('model endpoint'),
    ]);
    expect(await ended()).toBe('upstream_incomplete');
  });

  it('says that it was cut in the shape of the API as well', async () => {
    running.upstream.respond(stream([sse({ type: 'response.created', response: {} })]));
    const raw = await openai.responses.create({ ...ASK, stream: true }).asResponse();
    const [, last = ''] = (await raw.text()).split('\n\nevent: error\ndata: ');
    const event = JSON.parse(last) as Record<string, unknown>;
    const told = {
      code: 'upstream_incomplete',
      message: expect.any(String) as string,
      param: null,
    };
    expect(event).toEqual({
      type: 'error',
      sequence_number: 0,
      ...told,
      error: { type: 'api_error', ...told },
      request_id: raw.headers.get('x-request-id'),
    });
  });

  it('has state kept only where the grant allows it', async () => {
    running.upstream.respond(demo(answerResponses));
    for (const asked of [{ store: true }, { previous_response_id: 'resp_1' }, { metadata: {} }]) {
      const error = await errorOf(openai.responses.create({ ...ASK, ...asked }));
      expect([error.status, codeOf(error)]).toEqual([403, 'feature_not_granted']);
    }
    const background = await errorOf(openai.responses.create({ ...ASK, background: true }));
    expect([background.status, codeOf(background)]).toEqual([400, 'invalid_request']);
    const stateful = await running.access({ operations: ['responses'], features: FEATURES });
    await stateful.openai.responses.create(ASK);
    expect(sent()).not.toHaveProperty('store');
    const [intent] = running.entries({ kind: 'request.intent', grant: stateful.grant.id });
    expect(intent?.data?.['features']).toEqual(['systemPrompt', 'stateful']);
    await stateful.openai.responses.create({ ...ASK, store: false });
    expect(sent()).toMatchObject({ store: false });
  });

  it('refuses what it does not know, and tools that the upstream carries out', async () => {
    const before = running.upstream.requests.length;
    const unknown = { type: 'input_text', text: 'x', secret: 1 } as never;
    const nested = openai.responses.create({
      ...ASK,
      input: [{ role: 'user', content: [unknown] }],
    });
    expect((await errorOf(nested)).error).toMatchObject({
      code: 'unknown_field',
      param: 'input.0.content.0.secret',
    });
    const hosted = openai.responses.create({ ...ASK, tools: [{ type: 'web_search' }] });
    expect((await errorOf(hosted)).error).toMatchObject({
      code: 'feature_not_granted',
      param: 'tools.0',
    });
    expect(running.upstream.requests.length).toBe(before);
  });
});
