/** Invariant 7 in what is kept: the host's credential is in no transcript, however the upstream quotes it. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HOST_CREDENTIAL,
  MODEL,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  hang,
  openaiJson,
  openaiStream,
  status,
  type Handler,
} from '../support/scripted-upstream.ts';
import {
  FULL,
  SEALED,
  commitment,
  factsIn,
  keptBody,
  lastCall,
  openDatabase,
} from '../support/transcripts.ts';

const LEAK = `Incorrect API key provided: ${HOST_CREDENTIAL}. Bye.`;
const ESCAPED = LEAK.replace('sk-', String.raw`s\u006b-`);

let running: RunningBroker;
let sealed: Access;
let full: Access;

beforeAll(async () => {
  running = await startRunningBroker();
  sealed = await running.access(SEALED);
  full = await running.access(FULL);
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson());
});
afterAll(() => running.close());

/** Sends a body in these pieces, each in a read of its own. */
function inPieces(type: string, ...pieces: string[]): Handler {
  return async (_req, res) => {
    res.writeHead(200, { 'content-type': type });
    for (const piece of pieces) {
      res.write(piece);
      await delay(20);
    }
    res.end();
  };
}

const stream = (...pieces: string[]): Handler => inPieces('text/event-stream', ...pieces);
const json = (...pieces: string[]): Handler => inPieces('application/json', ...pieces);

const BEGIN = `data: {"model":"${MODEL}","choices":[{"index":0,"delta":{"content":"words"}}]}\n\n`;
const DONE = 'data: [DONE]\n\n';
const FILLER = 'x'.repeat(40_000);

/** A text that quotes it in two halves. */
const halves = (before: string, after: string): [string, string] => [
  `${before}${LEAK.slice(0, 40)}`,
  `${LEAK.slice(40)}${after}`,
];

const ANSWERS: [string, boolean, Handler][] = [
  ['an error by its status', false, status(401, { error: { message: LEAK } })],
  ['another error by its status', false, status(429, { error: { message: LEAK } })],
  ['an error that is no JSON', false, status(500, LEAK)],
  ['an escaped error', false, json(`{"error":{"message":"${ESCAPED}"}}`)],
  ['a whole answer', false, json(`{"note":"${LEAK}"}`)],
  ['a whole answer, in two reads', false, json(...halves('{"note":"', '"}'))],
  ['a long answer', false, json(`{"note":"${FILLER}`, ...halves(FILLER, `${FILLER}"}`))],
  ['an error in a stream', true, stream(BEGIN, `event: error\ndata: ${LEAK}\n\n`)],
  ['a stream', true, stream(BEGIN, `data: {"note":"${LEAK}"}\n\n`, DONE)],
  ['a stream, in two reads', true, stream(BEGIN, ...halves('data: {"note":"', '"}\n\n'), DONE)],
  ['a long stream', true, stream(BEGIN, ...halves(`data: {"note":"${FILLER}`, '"}\n\n'), DONE)],
  ['what follows the end of a stream', true, stream(`${BEGIN}${DONE}: ${LEAK}\n\n`)],
  ['the model that a stream names', true, stream(`data: {"model":"${HOST_CREDENTIAL}"}\n\n`, DONE)],
  [
    'an event that is not passed on',
    true,
    stream(BEGIN, `data: {"model":"${HOST_CREDENTIAL}","choices":[],"usage":{}}\n\n`, DONE),
  ],
];

const call = (access: Access, streams = false): Promise<Response> =>
  post(`${running.url}/v1/chat/completions`, access.token, { ...HELLO, stream: streams });

/** What is kept of the answer to a grant's last call, which has to be what the outcome commits to. */
function answerKept({ grant }: Access): { text: string; outcome: LogEntry } {
  const { request, outcome } = lastCall(running, grant.id);
  const kept = keptBody(running.test.dataDir, request, 'response');
  if (!kept) throw new Error('Nothing is kept of the answer.');
  expect(commitment(kept)).toBe(outcome.data?.['responseCommitment']);
  expect(kept.body).toHaveLength(outcome.data?.['responseBytes'] as number);
  return { text: kept.body.toString(), outcome };
}

describe.each<[string, () => Access]>([
  ['sealed', () => sealed],
  ['full', () => full],
])('what is kept of a grant whose transcripts are %s', (_mode, access) => {
  it.each(ANSWERS)('has no credential that is quoted in %s', async (_what, streams, handler) => {
    running.upstream.respond(handler);
    const seen = await (await call(access(), streams)).text();
    expect(seen).not.toContain(HOST_CREDENTIAL);
    const { text, outcome } = answerKept(access());
    expect(text).toContain('*'.repeat(HOST_CREDENTIAL.length));
    expect(text).not.toMatch(/sk-host|8f14|\\u006b/);
    expect(factsIn(outcome).quoted).toBe('masked');
    expect(JSON.stringify(outcome)).not.toContain(HOST_CREDENTIAL);
  });

  it('has none of one that a client did not wait for', async () => {
    const [first] = halves(`${BEGIN}data: `, '');
    running.upstream.respond((req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(first);
      return hang()(req, res);
    });
    const reader = (await call(access(), true)).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await eventually(() => {
      expect(lastCall(running, access().grant.id).outcome.data?.end).toBe('client_gone');
    });
    const { text } = answerKept(access());
    expect(text).toContain('words');
    expect(text).not.toContain('sk-host');
  });

  it('says nothing of credentials where none is quoted', async () => {
    for (const [streams, handler] of [
      [false, openaiJson()],
      [true, openaiStream()],
    ] as const) {
      running.upstream.respond(handler);
      await (await call(access(), streams)).text();
      const { text, outcome } = answerKept(access());
      expect(text).not.toContain('***');
      expect(factsIn(outcome).quoted).toBeUndefined();
    }
  });
});

it('whoever made the call is told that it is masked', async () => {
  running.upstream.respond(status(401, { error: { message: LEAK } }));
  await call(full);
  const { request } = lastCall(running, full.grant.id);
  const { body } = await running.api.get(running.people.researcher, `/transcripts/${request}`);
  expect(body).toMatchObject({ quoted: 'masked' });
  expect(JSON.stringify(body)).not.toContain(HOST_CREDENTIAL);
});

describe('a credential that is too short to be looked for in every answer', () => {
  const SHORT = 'EMPTY-7';
  let other: RunningBroker;
  let access: Access;

  beforeAll(async () => {
    process.env['SHORT_TEST_CREDENTIAL'] = SHORT;
    const endpoint = { credential: 'env:SHORT_TEST_CREDENTIAL' };
    other = await startRunningBroker({ endpoint });
    access = await other.access(FULL);
  });
  afterAll(() => other.close());

  const ask = (streams: boolean): Promise<Response> =>
    post(`${other.url}/v1/chat/completions`, access.token, { ...HELLO, stream: streams });

  it.each<[string, boolean, Handler]>([
    ['an answer', false, json(`{"error":{"message":"${FILLER}${FILLER} bad key ${SHORT}"}}`)],
    ['a stream', true, stream(BEGIN, `event: error\ndata: ${FILLER}${FILLER} ${SHORT}\n\n`)],
  ])('takes %s back that turns out to be an error', async (_what, streams, handler) => {
    other.upstream.respond(handler);
    await (await ask(streams)).text();
    const { request, outcome } = lastCall(other, access.grant.id);
    expect(factsIn(outcome)).toMatchObject({ quoted: 'withheld' });
    expect(factsIn(outcome).response).toBeUndefined();
    expect(outcome.data?.['responseCommitment']).toBeUndefined();
    const database = openDatabase(other.test.dataDir);
    const parts = database
      .prepare('SELECT part FROM bodies WHERE request = ?')
      .pluck()
      .all(request);
    database.close();
    expect(parts).toEqual(['request']);
  });

  it('is a word like others where a model says it', async () => {
    other.upstream.respond(openaiJson({ content: `The list is ${SHORT}.` }));
    expect(await (await ask(false)).text()).toContain(SHORT);
    const { request, outcome } = lastCall(other, access.grant.id);
    expect(factsIn(outcome).quoted).toBeUndefined();
    expect(keptBody(other.test.dataDir, request, 'response')?.body.toString()).toContain(SHORT);
  });
});
