/** Requests that end without an answer, or with an odd one: the upstream is let go, and all of them are on record. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { OPERATIONS } from '../../src/gateway/operations/table.ts';
import type { ProxiedOperation } from '../../src/gateway/operations/operation.ts';
import { Upstream } from '../../src/gateway/upstream.ts';
import { createLogger } from '../../src/lib/log.ts';
import { startRawUpstream, type RawUpstream } from '../support/raw-upstream.ts';
import { HELLO, post, startRunningBroker, type RunningBroker } from '../support/running-broker.ts';

const PATH = '/v1/chat/completions';
const STREAM = { ...HELLO, stream: true };
const DOCUMENT = JSON.stringify({ model: HELLO.model, choices: [] });
const EVENTS = `data: ${DOCUMENT}\n\ndata: [DONE]\n\n`;
const ERROR = JSON.stringify({ error: { message: 'Slow down.', type: 'x' } });

let raw: RawUpstream;
let running: RunningBroker;
const logged: string[] = [];

beforeAll(async () => {
  raw = await startRawUpstream();
  const log = createLogger({ level: 'info' }, { write: (line: string) => void logged.push(line) });
  running = await startRunningBroker({ upstreamUrl: `${raw.url}/v1`, log });
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await running.close();
  await raw.close();
});

function answerWith(status: string, text: string, ...headers: string[]): void {
  const lines = [`HTTP/1.1 ${status}`, `content-length: ${Buffer.byteLength(text)}`, ...headers];
  raw.respond((socket) => socket.write(`${lines.join('\r\n')}\r\n\r\n${text}`));
}

const ask = (token: string, body: unknown): Promise<Response> =>
  post(`${running.url}${PATH}`, token, body);

function operation(): ProxiedOperation {
  return OPERATIONS.get(PATH) as ProxiedOperation;
}

describe('headers that come twice', () => {
  it.each<[string, object, string, string]>([
    ['of a document', HELLO, 'content-type: application/json', DOCUMENT],
    ['of a stream', STREAM, 'content-type: text/event-stream', EVENTS],
    ['of a stream, in other letters', STREAM, 'Content-Type: TEXT/Event-Stream', EVENTS],
  ])('are read as one: the type %s', async (_, body, type, text) => {
    const { token, grant } = await running.access();
    answerWith('200 OK', text, type, type);
    const answer = await ask(token, body);
    expect([answer.status, await answer.text()]).toEqual([200, text]);
    expect((await running.outcomeOf(grant)).data?.end).toBe('completed');
  });

  it.each([['identity'], ['Identity'], ['identity, identity']])(
    'are read as one: that it is not compressed (%s)',
    async (coding) => {
      const { token } = await running.access();
      const header = `content-encoding: ${coding}`;
      answerWith('200 OK', EVENTS, 'content-type: text/event-stream', header, header);
      const answer = await ask(token, STREAM);
      expect([answer.status, await answer.text()]).toEqual([200, EVENTS]);
    },
  );

  it('cannot hide that it is compressed', async () => {
    const { token } = await running.access();
    answerWith('200 OK', DOCUMENT, 'content-encoding: identity', 'content-encoding: gzip');
    expect((await ask(token, HELLO)).status).toBe(502);
  });

  it.each([
    [['retry-after: 3', 'retry-after: 5'], '3'],
    [['retry-after-ms: 2500', 'retry-after-ms: 9000', 'retry-after: 9'], '3'],
  ])('say when to try again: the first does (%j)', async (headers, seconds) => {
    const { token } = await running.access();
    answerWith('429 Too Many', ERROR, ...headers, 'x-should-retry: true', 'x-should-retry: true');
    const answer = await ask(token, HELLO);
    expect([answer.status, await answer.text()]).toEqual([429, ERROR]);
    expect(answer.headers.get('retry-after')).toBe(seconds);
    expect(answer.headers.get('x-should-retry')).toBe('true');
  });
});

it.each([600, 999])('a status that HTTP does not have (%i) is no answer', async (status) => {
  const { token, grant } = await running.access();
  answerWith(`${status} Odd`, ERROR, 'content-type: application/json');
  const answer = await ask(token, HELLO);
  const { error } = (await answer.json()) as { error: { code: string } };
  expect([answer.status, error.code]).toEqual([502, 'upstream_invalid']);
  expect(await running.outcomeOf(grant)).toMatchObject({
    reason: 'upstream_invalid',
    data: { end: 'upstream_error', charged: { requests: 1 } },
  });
});

describe('what fails in the broker itself', () => {
  it('ends the upstream too, and is logged and recorded', async () => {
    const { token, grant } = await running.access();
    let socket: Socket | undefined;
    raw.respond((asked) => {
      socket = asked;
      asked.write(
        'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n',
      );
    });
    vi.spyOn(operation(), 'scanner').mockImplementationOnce(() => {
      throw new TypeError('a fault of ours');
    });
    const answer = await ask(token, STREAM);
    const { error } = (await answer.json()) as { error: { code: string } };
    expect([answer.status, error.code]).toEqual([500, 'unexpected']);
    const asked = socket as Socket;
    if (!asked.destroyed) await once(asked, 'close');
    expect(logged.filter((line) => line.includes('TypeError: a fault of ours'))).toHaveLength(1);
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      end: 'upstream_error',
      charged: { requests: 1 },
    });
    expect(running.sums(grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
  });

  it('between admission and dispatch gives the reservation and the slot back', async () => {
    const { token, grant } = await running.access({ limits: { concurrent: 1 } });
    answerWith('200 OK', DOCUMENT, 'content-type: application/json');
    vi.spyOn(operation().dialect, 'rateLimitHeaders').mockImplementationOnce(() => {
      throw new TypeError('a fault of ours');
    });
    expect((await ask(token, HELLO)).status).toBe(500);
    expect((await running.outcomeOf(grant)).data).toMatchObject({
      end: 'not_forwarded',
      charged: { requests: 0, tokens: 0 },
    });
    expect((await ask(token, HELLO)).status).toBe(200);
    expect(running.sums(grant)).toMatchObject({ requestsReserved: 0, tokensReserved: 0 });
  });
});

it('connections to upstreams that do not close keep neither the broker nor its log open', async () => {
  const other = await startRunningBroker();
  vi.spyOn(Upstream.prototype, 'close').mockImplementation(() => new Promise(() => undefined));
  await other.close();
  await expect(other.test.broker.store.write('probe', { at: 0 })).rejects.toThrow(
    'The audit log cannot be written',
  );
});
