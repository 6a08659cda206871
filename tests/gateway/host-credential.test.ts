/** Invariant 7: whatever an upstream says, and in whichever form, the host's credential reaches no client. */
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  HOST_CREDENTIAL,
  MODEL,
  codeOf,
  errorOf,
  drain,
  post,
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import type { Handler } from '../support/scripted-upstream.ts';

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** A stream of these parts, each in a write of its own. */
function streams(...parts: string[]): Handler {
  return async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      res.write(part);
      await setImmediate();
    }
    res.end();
  };
}

function answers(body: string): Handler {
  return (_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(body);
  };
}

const LEAK = `bad key ${HOST_CREDENTIAL}`;
const ESCAPED = `bad key ${HOST_CREDENTIAL.replace('k', String.raw`\u006b`)}`;

interface Api {
  path: string;
  body: object;
  /** The first words of an answer. */
  begin: string;
  /** How its last event looks. */
  terminal: string;
  /** Reads a whole stream with the vendor's SDK. */
  read(access: Access): Promise<unknown>;
}

const named = (event: { type: string; [more: string]: unknown }): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

const APIS: Record<string, Api> = {
  'chat completions': {
    path: '/v1/chat/completions',
    body: { ...HELLO, stream: true },
    begin: `data: {"model":"${MODEL}","choices":[{"index":0,"delta":{"content":"words"}}]}\n\n`,
    terminal: 'data: [DONE]\n\n',
    read: async ({ openai }) =>
      drain(await openai.chat.completions.create({ ...HELLO, stream: true })),
  },
  responses: {
    path: '/v1/responses',
    body: { model: MODEL, input: 'Hello!', stream: true },
    begin: named({ type: 'response.output_text.delta', delta: 'words' }),
    terminal: named({ type: 'response.completed', response: { model: MODEL } }),
    read: async ({ openai }) =>
      drain(await openai.responses.create({ model: MODEL, input: 'Hello!', stream: true })),
  },
  messages: {
    path: '/v1/messages',
    body: { ...HELLO_ANTHROPIC, stream: true },
    begin: named({ type: 'content_block_delta', delta: { text: 'words' } }),
    terminal: named({ type: 'message_stop' }),
    read: async ({ anthropic }) =>
      drain(await anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true })),
  },
};

const OPERATIONS = ['chat.completions', 'responses', 'messages'] as const;

async function ask(
  { path, body }: Pick<Api, 'path' | 'body'>,
  handler: Handler,
): Promise<{ status: number; text: string; outcome: LogEntry }> {
  const { token, grant } = await running.access({ operations: [...OPERATIONS] });
  running.upstream.respond(handler);
  const answer = await post(running.url + path, token, body);
  const text = await answer.text();
  return { status: answer.status, text, outcome: await running.outcomeOf(grant) };
}

/** Codes of the broker in a stream, each once: some errors say it twice. */
const codesIn = (text: string): string[] => [
  ...new Set(Array.from(text.matchAll(/"code":"(\w+)"/g), ([, code]) => code ?? '')),
];

describe.each(Object.entries(APIS))('a stream of %s', (_, api) => {
  const inErrors: [string, string][] = [
    ['an error by its name alone', `event: error\ndata: {"message":"${LEAK}"}\n\n`],
    ['an error without a type', `event: error\ndata: {"error":{"message":"${LEAK}"}}\n\n`],
    ['an error that is no JSON', `event: error\ndata: ${LEAK}\n\n`],
    ['an error without a name', `data: {"type":"error","error":{"message":"${LEAK}"}}\n\n`],
    ['an escaped error', `event: error\ndata: {"error":{"message":"${ESCAPED}"}}\n\n`],
  ];
  const inAnswers: [string, string][] = [
    ['a comment', `: ${LEAK}\n\n`],
    ['an id', `id: ${HOST_CREDENTIAL}\n\n`],
    ['what is no error', `data: {"note":"${LEAK}"}\n\n`],
    ['what is escaped', `data: {"note":"${ESCAPED}"}\n\n`],
    ['an error whose key is escaped', `data: {"\\u0065rror":{"message":"${LEAK}"}}\n\n`],
  ];

  it.each(inErrors)('that quotes it in %s ends with an error of ours', async (_form, event) => {
    const { text, outcome } = await ask(api, streams(api.begin, event, api.terminal));
    expect(text.slice(0, api.begin.length)).toBe(api.begin);
    expect(text).not.toMatch(/bad key/);
    expect(codesIn(text)).toEqual(['upstream_incomplete']);
    expect(outcome.data).toMatchObject({ end: 'upstream_error', usage: { source: 'estimated' } });
  });

  it.each(inAnswers)('that quotes it in %s ends there', async (_form, event) => {
    const { text, outcome } = await ask(api, streams(api.begin, event, api.terminal));
    expect(text.slice(0, api.begin.length)).toBe(api.begin);
    expect(text).not.toMatch(/bad key|sk-host/);
    expect(codesIn(text)).toEqual(['upstream_invalid']);
    expect(outcome).toMatchObject({
      reason: 'upstream_invalid',
      data: { end: 'upstream_error', charged: { requests: 1 } },
    });
  });

  it('that quotes it in its last event ends without that', async () => {
    const last = api.terminal.replace(/\n\n$/, `\n: ${LEAK}\n\n`);
    const { text } = await ask(api, streams(api.begin, last));
    expect(text).not.toContain(LEAK);
    expect(codesIn(text)).toEqual(['upstream_invalid']);
  });

  it('raises in the SDK, whatever form the error of the upstream has', async () => {
    const access = await running.access({ operations: [...OPERATIONS] });
    for (const event of [
      'event: error\ndata: {"message":"It failed.","code":500}\n\n',
      'event: error\ndata: {"error":{"message":"It failed."}}\n\n',
      'event: error\ndata: It failed.\n\n',
      'data: {"type":"error","error":{"message":"It failed."}}\n\n',
    ]) {
      running.upstream.respond(streams(api.begin, event));
      const error = await errorOf(api.read(access));
      expect(error.constructor.name).toBe('APIError');
    }
  });
});

const WHOLE: Record<string, Api['body']> = {
  '/v1/chat/completions': HELLO,
  '/v1/responses': { model: MODEL, input: 'Hello!' },
  '/v1/messages': HELLO_ANTHROPIC,
};

describe.each(Object.entries(WHOLE))('a whole answer of %s', (path, body) => {
  it.each([
    ['in an error', { error: { message: LEAK, code: 401 } }],
    ['in what is no error', { model: MODEL, note: LEAK, usage: null }],
  ])('that quotes it %s goes to nobody', async (_form, answer) => {
    const quoted = JSON.stringify(answer);
    const escaped = quoted.replace(LEAK, ESCAPED);
    for (const text of [quoted, escaped]) {
      const got = await ask({ path, body }, answers(text));
      expect([got.status, JSON.parse(got.text)]).toMatchObject([
        502,
        { error: { code: 'upstream_invalid' } },
      ]);
      expect(got.text).not.toContain('bad key');
      expect(got.outcome.data?.end).toBe('upstream_error');
    }
  });

  it('that is an error in spite of its status is passed on, marked, and costs no tokens', async () => {
    const { token, grant } = await running.access({ operations: [...OPERATIONS] });
    const said = { error: { message: 'It failed.', code: 500 } };
    running.upstream.respond(answers(JSON.stringify(said)));
    const answer = await post(running.url + path, token, body);
    expect([answer.status, answer.headers.get('x-sallyport-source')]).toEqual([200, 'upstream']);
    expect(await answer.json()).toEqual(said);
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      end: 'upstream_error',
      upstreamStatus: 200,
      charged: { requests: 1, tokens: 0 },
    });
  });

  it('with an error that is null is none', async () => {
    const { status, outcome } = await ask({ path, body }, answers('{"error":null}'));
    expect([status, outcome.data?.end]).toEqual([200, 'completed']);
  });
});

it('a document in place of a stream that is an error costs no tokens', async () => {
  const { openai, grant } = await running.access();
  running.upstream.respond(answers('{"error":{"message":"It failed."}}'));
  const error = await errorOf(openai.chat.completions.create({ ...HELLO, stream: true }));
  expect([error.status, codeOf(error)]).toEqual([502, 'upstream_invalid']);
  expect((await running.outcomeOf(grant)).data?.charged).toMatchObject({ requests: 1, tokens: 0 });
});
