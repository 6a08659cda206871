/** Chat completions, completions and embeddings through their own SDK: plain and streamed, errors, what is settled. */
import type OpenAI from 'openai';
import { beforeEach, describe, expect, it } from 'vitest';
import { answerCompletions } from '../../src/demo/model-completions.ts';
import { answerEmbeddings } from '../../src/demo/model-embeddings.ts';
import { answerChat } from '../../src/demo/model-openai.ts';
import { DEMO_MODEL } from '../../src/demo/model-reply.ts';
import { PARAMETERS, demo, sse } from '../support/demo-peer.ts';
import {
  HELLO,
  MODEL,
  codeOf,
  drain,
  errorOf,
  say,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiSetting } from '../support/openai-setting.ts';
import { stream } from '../support/scripted-upstream.ts';

const setting = openaiSetting();
const { sent, outcome, settled, ended } = setting;

let running: RunningBroker;
let access: Access;
let openai: OpenAI;

beforeEach(() => ({ running, access, openai } = setting.now()));

describe('completions', () => {
  const ASK = { model: MODEL, prompt: 'count to 20' };

  it('answers as much as the API does by itself, where nothing is said', async () => {
    running.upstream.respond(demo(answerCompletions));
    const answer = await openai.completions.create(ASK);
    expect(sent()).toEqual({ ...ASK, max_tokens: 16 });
    expect(answer.choices).toMatchObject([
      { finish_reason: 'length', text: expect.stringMatching(/^1 2 .* 16$/) as string },
    ]);
    expect(await settled()).toEqual(['completed', answer.usage?.prompt_tokens, 16, 'reported']);
  });

  it('reserves for every answer to every prompt', async () => {
    running.upstream.respond(demo(answerCompletions));
    const prompt = ['count to 2', 'count to 3'];
    const answer = await openai.completions.create({
      ...ASK,
      prompt,
      n: 2,
      best_of: 3,
      max_tokens: 10,
    });
    expect(answer.choices.map(({ text }) => text)).toEqual(['1 2', '1 2', '1 2 3', '1 2 3']);
    const [intent] = running.entries({ kind: 'request.intent', grant: access.grant.id });
    const one = await running.access({ operations: ['completions'] });
    await one.openai.completions.create({ ...ASK, prompt, n: 1, best_of: 1, max_tokens: 10 });
    const [single] = running.entries({ kind: 'request.intent', grant: one.grant.id });
    // Three instead of one to each of two prompts, at ten tokens.
    const more = (intent?.data?.reserved?.tokens ?? 0) - (single?.data?.reserved?.tokens ?? 0);
    expect(more).toBe(2 * 2 * 10);
    const tooMany = await errorOf(openai.completions.create({ ...ASK, n: 1, best_of: 5 }));
    expect(codeOf(tooMany)).toBe('feature_not_granted');
  });

  it('takes tokens, and gives log probabilities of what it was given', async () => {
    running.upstream.respond(demo(answerCompletions));
    const answer = await openai.completions.create({
      ...ASK,
      echo: true,
      logprobs: 1,
      max_tokens: 0,
    });
    expect(answer.choices[0]?.text).toBe(ASK.prompt);
    expect(answer.choices[0]?.logprobs?.tokens?.join('')).toBe(ASK.prompt);
    expect(await settled()).toEqual(['completed', answer.usage?.prompt_tokens, 0, 'reported']);
    const tokens = await openai.completions.create({ ...ASK, prompt: [[1, 2, 3], [4]] });
    expect(tokens.usage?.prompt_tokens).toBe(4);
  });

  it.each([false, true])(
    'streams, with the usage that the client wants to see: %s',
    async (wanted) => {
      running.upstream.respond(demo(answerCompletions));
      const chunks = await drain(
        await openai.completions.create({
          ...ASK,
          prompt: ['count to 3', 'count to 4'],
          stream: true,
          ...(wanted ? { stream_options: { include_usage: true } } : {}),
        }),
      );
      const textOf = (index: number): string =>
        chunks
          .map(({ choices: [choice] }) => (choice?.index === index ? choice.text : ''))
          .join('');
      expect([textOf(0), textOf(1)]).toEqual(['1 2 3', '1 2 3 4']);
      expect(chunks.filter(({ choices }) => choices.length === 0)).toHaveLength(wanted ? 1 : 0);
      expect(await settled()).toMatchObject(['completed', expect.any(Number), 7, 'reported']);
    },
  );
});

describe('embeddings', () => {
  it('answers in the form that the SDK asks for, and charges for the input alone', async () => {
    running.upstream.respond(demo(answerEmbeddings));
    const input = ['one', 'two words'];
    const answer = await openai.embeddings.create({ model: MODEL, input, dimensions: 8 });
    // The SDK asks for base64 by itself, and decodes it.
    expect(sent()).toEqual({ model: MODEL, input, dimensions: 8, encoding_format: 'base64' });
    const direct = answerEmbeddings({ model: DEMO_MODEL, input, dimensions: 8 });
    expect(answer.data).toEqual((direct as { body: { data: unknown } }).body.data);
    expect(await settled()).toEqual(['completed', answer.usage.prompt_tokens, 0, 'reported']);
    expect(running.sums(access.grant)).toMatchObject({
      tokensSettled: answer.usage.prompt_tokens,
      tokensReserved: 0,
    });
  });

  it('takes tokens, and refuses what is no input', async () => {
    running.upstream.respond(demo(answerEmbeddings));
    const answer = await openai.embeddings.create({ model: MODEL, input: [[1, 2], [3]] });
    expect([answer.data.length, answer.usage.prompt_tokens]).toEqual([2, 3]);
    const error = await errorOf(openai.embeddings.create({ model: MODEL, input: [] }));
    expect(error.error).toMatchObject({ code: 'invalid_request', param: 'input' });
  });

  it('is refused where the grant does not name it', async () => {
    const other = await running.access({ operations: ['responses', 'completions'] });
    const error = await errorOf(other.openai.embeddings.create({ model: MODEL, input: 'x' }));
    expect([error.status, codeOf(error)]).toEqual([403, 'operation_not_granted']);
  });
});

describe('chat completions', () => {
  const chunk = (parts: object): string =>
    sse({ id: 'c', object: 'chat.completion.chunk', created: 1, model: MODEL, ...parts });
  const delta = (content: string): object => ({ choices: [{ index: 0, delta: { content } }] });
  const usage = (input: number, output: number): object => ({
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
  });
  const DONE = 'data: [DONE]\n\n';

  it('streams several answers that take turns', async () => {
    running.upstream.respond(demo(answerChat));
    const chunks = await drain(
      await openai.chat.completions.create({
        model: MODEL,
        messages: [say('count to 3')],
        n: 2,
        stream: true,
      }),
    );
    const textOf = (index: number): string =>
      chunks
        .map(({ choices: [choice] }) => (choice?.index === index ? choice.delta.content : ''))
        .join('');
    expect([textOf(0), textOf(1)]).toEqual(['1 2 3', '1 2 3']);
    expect(await settled()).toMatchObject(['completed', expect.any(Number), 6, 'reported']);
  });

  it('streams a call of a tool, and takes the answer and the result back', async () => {
    running.upstream.respond(demo(answerChat));
    const tools = [
      { type: 'function' as const, function: { name: 'weather', parameters: PARAMETERS } },
    ];
    const messages: OpenAI.ChatCompletionMessageParam[] = [say('Use the tool.')];
    const ask = { model: MODEL, messages, tools };
    const answer = await openai.chat.completions.stream(ask).finalMessage();
    const [call] = answer.tool_calls ?? [];
    if (call?.type !== 'function') throw new Error('no call');
    expect(call.function).toMatchObject({ name: 'weather', arguments: '{"city":"demo"}' });
    const after = await openai.chat.completions.create({
      ...ask,
      messages: [
        ...messages,
        // As the SDK's users do: the answer goes back as it came.
        answer,
        { role: 'tool', tool_call_id: call.id, content: '21' },
      ],
    });
    expect(after.choices[0]?.message.content).toContain('You sent 3 messages');
  });

  it.each<[string, string[]]>([
    ['with the last text, without a chunk of its own', [chunk({ ...delta('x'), ...usage(3, 9) })]],
    [
      'as nothing with every chunk but the last',
      [
        chunk({ ...delta('x'), usage: null }),
        chunk(delta('x')).replace('"choices"', '"usage" : null , "choices"'),
        chunk({ choices: [], ...usage(3, 9) }),
      ],
    ],
    [
      'with every chunk, more each time',
      [chunk({ ...delta('x'), ...usage(3, 1) }), chunk({ ...delta('y'), ...usage(3, 9) })],
    ],
    [
      'behind a text that quotes one',
      [chunk(delta('"usage":{"prompt_tokens":99} [DONE]')), chunk({ choices: [], ...usage(3, 9) })],
    ],
    [
      'behind a first chunk without a model, about filters of the prompt',
      [
        chunk({ model: '', choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
        chunk(delta('x')),
        chunk({ choices: [], ...usage(3, 9) }),
      ],
    ],
  ])('settles the usage that comes %s', async (_how, chunks) => {
    running.upstream.respond(stream([...chunks, DONE]));
    await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    expect(await settled()).toEqual(['completed', 3, 9, 'reported']);
    const { data } = await outcome();
    expect([data?.['modelAnswered'], data?.['modelMismatch']]).toEqual([MODEL, undefined]);
  });

  it('keeps a chunk about filters, which has no choices either', async () => {
    const filters = { prompt_filter_results: [{ prompt_index: 0 }] };
    running.upstream.respond(
      stream([chunk({ model: '', choices: [], ...filters }), chunk(delta('x')), DONE]),
    );
    const chunks = await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    expect(chunks[0]).toMatchObject(filters);
  });

  it('raises an error of the upstream in the middle, and lets nothing pass after it', async () => {
    const error = { message: 'It broke.', type: 'server_error', code: 'broken' };
    running.upstream.respond(stream([chunk(delta('x')), sse({ error }), chunk(delta('y')), DONE]));
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      for await (const { choices } of await openai.chat.completions.create({
        ...HELLO,
        stream: true,
      }))
        seen.push(choices[0]?.delta.content ?? '');
    };
    const raised = await errorOf(read());
    expect([raised.message, seen]).toEqual(['It broke.', ['x']]);
    expect(await ended()).toBe('upstream_error');
  });

  it('goes on after an error that is none: SDKs would not raise at it', async () => {
    running.upstream.respond(
      stream([chunk({ ...delta('x'), error: null }), chunk({ ...delta('y'), error: '' }), DONE]),
    );
    const chunks = await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).join('')).toBe('xy');
    expect(await ended()).toBe('completed');
  });

  it('ends where SDKs do', async () => {
    running.upstream.respond(stream([chunk(delta('x')), 'data:[DONE] \n\n', chunk(delta('y'))]));
    const chunks = await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content)).toEqual(['x']);
    expect(await ended()).toBe('completed');
  });

  it('refuses a nested field that it does not know, by name', async () => {
    const part = { type: 'image_url', image_url: { url: 'u', foo: 1 } } as never;
    const error = await errorOf(
      openai.chat.completions.create({ ...HELLO, messages: [{ role: 'user', content: [part] }] }),
    );
    expect(error.error).toMatchObject({
      code: 'unknown_field',
      param: 'messages.0.content.0.image_url.foo',
    });
  });
});
