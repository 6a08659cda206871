/** What a stream costs that did not come to its end: no less than what was sent, and no more. */
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  post,
  startRunningBroker,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const TEXT = 'The quick brown fox jumps over the lazy dog. ';
const TIMES = 40;
/** Of all the text, by its length. */
const LIKELY = (TEXT.length * TIMES) / 4;

const chunk = (delta: object, usage?: object): string =>
  `data: ${JSON.stringify({ model: MODEL, choices: [{ index: 0, delta }], usage })}\n\n`;
const named = (type: string, more: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const every = <T>(make: (text: string) => T): T[] =>
  Array.from({ length: TIMES }, () => make(TEXT));

/** Asks for a stream, of which these parts come, and reads it to its end; or leaves as soon as that has come. */
async function outcomeOf(
  path: string,
  body: object,
  parts: string[],
  leaveAt?: string,
): Promise<LogEntry> {
  const { token, grant } = await running.access({
    operations: ['chat.completions', 'responses', 'messages'],
  });
  running.upstream.respond(async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      res.write(part);
      await setImmediate();
    }
    if (leaveAt === undefined) res.end();
  });
  const answer = await post(running.url + path, token, { ...body, stream: true });
  const reader = answer.body?.getReader();
  let text = '';
  for (let read = await reader?.read(); read?.value; read = await reader?.read()) {
    text += new TextDecoder().decode(read.value);
    if (leaveAt !== undefined && text.includes(leaveAt)) await reader?.cancel();
  }
  return running.outcomeOf(grant);
}

const ofChat = (...parts: string[]): Promise<LogEntry> =>
  outcomeOf('/v1/chat/completions', HELLO, parts);

describe('usage that was reported before the end', () => {
  const early = { prompt_tokens: 11, completion_tokens: 0 };

  it('does not hide what came behind it', async () => {
    const { data } = await ofChat(
      chunk({ role: 'assistant' }, early),
      ...every((content) => chunk({ content })),
    );
    expect(data).toMatchObject({
      end: 'upstream_incomplete',
      usage: { inputTokens: 11, outputTokens: LIKELY, source: 'estimated' },
    });
  });

  it('does not hide it either where an error ends the stream', async () => {
    const { data } = await ofChat(
      chunk({ role: 'assistant' }, early),
      ...every((content) => chunk({ content })),
      'data: {"error":{"message":"It failed."}}\n\n',
    );
    expect(data).toMatchObject({
      end: 'upstream_error',
      usage: { inputTokens: 11, outputTokens: LIKELY, source: 'estimated' },
    });
  });

  it('counts where it is more than the text shows', async () => {
    const { data } = await ofChat(
      chunk({ content: TEXT }, { prompt_tokens: 11, completion_tokens: 500 }),
    );
    expect(data).toMatchObject({
      end: 'upstream_incomplete',
      usage: { inputTokens: 11, outputTokens: 500, source: 'reported' },
    });
  });

  it('counts alone where the stream came to its end', async () => {
    const { data } = await ofChat(
      ...every((content) => chunk({ content })),
      chunk({}, { prompt_tokens: 11, completion_tokens: 5 }),
      'data: [DONE]\n\n',
    );
    expect(data).toMatchObject({
      end: 'completed',
      usage: { inputTokens: 11, outputTokens: 5, source: 'reported' },
    });
  });
});

it('text that a response repeats is counted once, when the client leaves before its end', async () => {
  const text = TEXT.repeat(TIMES);
  const part = { type: 'output_text', text };
  const { data } = await outcomeOf(
    '/v1/responses',
    { model: MODEL, input: 'Hello!' },
    [
      ...every((delta) => named('response.output_text.delta', { delta })),
      named('response.output_text.done', { text }),
      named('response.content_part.done', { part }),
      named('response.output_item.done', { item: { type: 'message', content: [part] } }),
    ],
    'response.output_item.done',
  );
  expect(data).toMatchObject({
    end: 'client_gone',
    usage: { outputTokens: LIKELY, source: 'estimated' },
  });
});

describe('an error before any of the answer costs what it costs as a status:', () => {
  const failed = { message: 'Overloaded', type: 'overloaded_error' };
  const start = named('message_start', {
    message: { model: MODEL, content: [], usage: { input_tokens: 9, output_tokens: 1 } },
  });
  const error = named('error', { error: failed });

  it.each<[string, string, object, string[]]>([
    ['chat completions', '/v1/chat/completions', HELLO, [named('error', { error: failed })]],
    ['messages', '/v1/messages', HELLO_ANTHROPIC, [error]],
    ['messages that had begun', '/v1/messages', HELLO_ANTHROPIC, [start, error]],
    [
      'responses',
      '/v1/responses',
      { model: MODEL, input: 'Hello!' },
      [
        named('response.created', { response: { model: MODEL, usage: null } }),
        named('response.failed', { response: { status: 'failed', error: failed, usage: null } }),
      ],
    ],
  ])('%s', async (_name, path, body, parts) => {
    expect((await outcomeOf(path, body, parts)).data).toMatchObject({
      end: 'upstream_error',
      usage: { source: 'none' },
      charged: { requests: 1, tokens: 0, spendNanoUsd: 0 },
    });
  });

  it('unless the upstream reports that it made something', async () => {
    const usage = { input_tokens: 9, output_tokens: 700 };
    const { data } = await outcomeOf('/v1/responses', { model: MODEL, input: 'Hello!' }, [
      named('response.failed', { response: { status: 'failed', error: failed, usage } }),
    ]);
    expect(data?.charged?.tokens).toBe(709);
  });
});
