/** HTTP/2 connections that fail without a word: no later call is lost on them, and none of them is left open. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Upstream } from '../../src/gateway/upstream.ts';
import {
  GOAWAY,
  PING,
  RST_STREAM,
  answer,
  answerFrames,
  brokenHeaders,
  frame,
  startFrameUpstream,
  startHttp2Upstream,
  type FrameUpstream,
} from '../support/http2-upstream.ts';
import { HELLO, eventually, post, startRunningBroker } from '../support/running-broker.ts';
import { call, failureOf, openUpstream, type Call } from '../support/upstream-calls.ts';

/** How often a connection is looked at. */
const LOOK_MS = 10_000;

type Reply = Parameters<typeof startFrameUpstream>[0];

let server: FrameUpstream;
let upstream: Upstream;

/** The first connection does as the test says, all others serve. */
async function open(
  first: Reply,
  { greet, firstByteMs = 5_000 }: { greet?: Buffer; firstByteMs?: number } = {},
): Promise<void> {
  server = await startFrameUpstream(
    (socket, stream, connection) =>
      connection === 0
        ? first(socket, stream, connection)
        : void socket.write(answerFrames(stream)),
    (connection) => (connection === 0 && greet ? greet : Buffer.alloc(0)),
  );
  ({ upstream } = openUpstream(server.url, { http2: true, times: { firstByteMs } }));
}

const silence: Reply = () => undefined;
const breakIt: Reply = (socket, stream) => void socket.write(brokenHeaders(stream));

/** A call that has arrived and has no answer yet. */
async function underWay(): Promise<Call> {
  const pending = call(upstream);
  pending.head.catch(() => undefined);
  await eventually(() => expect(server.requests).toHaveLength(1));
  return pending;
}

/** Resolves when the broker has closed its side of the first connection. */
function firstIsClosed(): Promise<unknown> {
  const [socket] = server.sockets as [Socket];
  return socket.readableEnded || socket.destroyed ? Promise.resolve() : once(socket, 'end');
}

const LOST = { code: 'upstream_incomplete', mayHaveArrived: true };
const NOT_SENT = { code: 'upstream_unreachable', mayHaveArrived: false };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await upstream.close();
  server.close();
});

describe('a connection that does not serve gets no more calls', () => {
  it('when a call on it had no answer in time; and is closed when it has none left', async () => {
    await open(silence, { firstByteMs: 100 });
    expect(await failureOf(call(upstream).head)).toMatchObject({ code: 'upstream_timeout' });
    await firstIsClosed();
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect(server.sockets).toHaveLength(2);
  });

  it('when it gave a call back', async () => {
    await open((socket, stream) => socket.write(frame(RST_STREAM, stream, [0, 0, 0, 7])));
    expect(await failureOf(call(upstream).head)).toMatchObject(NOT_SENT);
    await firstIsClosed();
    expect(await call(upstream).text()).toBe('{"ok":true}');
  });

  it.each([0, 2])(
    'when the upstream leaves it as it is made (code %i): nothing was sent, nothing is charged',
    async (code) => {
      await open(silence, { greet: frame(GOAWAY, 0, [0, 0, 0, 0, 0, 0, 0, code]) });
      expect(await failureOf(call(upstream).head)).toMatchObject(NOT_SENT);
      await firstIsClosed();
      expect(server.requests).toEqual([]);
      expect(await call(upstream).text()).toBe('{"ok":true}');
    },
  );

  it('when it has broken the protocol: what could not be sent costs nothing', async () => {
    await open(breakIt);
    const broken = await underWay();
    await eventually(() => expect(server.frames).toContain(GOAWAY));
    const next = failureOf(call(upstream).head);
    // What is sent after this shows that nothing can be sent any more.
    broken.cancellation.cancel(new Error('client gone'));
    expect(await next).toMatchObject(NOT_SENT);
    await firstIsClosed();
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect(server.requests).toEqual([1, 1]);
  });
});

describe('a connection with calls that is silent is asked whether it lives', () => {
  it.each([
    ['says nothing', silence, PING],
    ['broke the protocol', breakIt, GOAWAY],
  ])('one that %s is given up, and its calls hear of it', async (_, reply, said) => {
    await open(reply);
    const pending = await underWay();
    const failure = vi.fn<(failure: object) => void>();
    const failed = failureOf(pending.head).then(failure);
    await eventually(() => {
      vi.advanceTimersByTime(LOOK_MS);
      expect(failure).toHaveBeenCalled();
    });
    await failed;
    expect(failure).toHaveBeenCalledWith(expect.objectContaining(LOST));
    expect(server.frames).toContain(said);
    await firstIsClosed();
    expect(await call(upstream).text()).toBe('{"ok":true}');
  });

  it('one that answers is kept, however long its calls are silent', async () => {
    await open(silence);
    const lively = await startHttp2Upstream();
    const { upstream: other } = openUpstream(lively.url, { http2: true });
    const arrived = new Promise<Parameters<typeof answer>[0]>((resolve) => lively.respond(resolve));
    const pending = call(other);
    const stream = await arrived;
    const session = stream.session as NonNullable<typeof stream.session>;
    /** What was written to the other side before has been read there. */
    const isRead = (): Promise<void> =>
      new Promise((resolve) => void session.ping(() => resolve()));
    vi.advanceTimersByTime(LOOK_MS);
    for (let asked = 0; asked < 3; asked += 1) {
      const ping = once(session, 'ping');
      vi.advanceTimersByTime(LOOK_MS);
      await ping;
      await isRead();
      vi.advanceTimersByTime(LOOK_MS);
    }
    answer(stream);
    expect(await pending.text()).toBe('{"ok":true}');
    await other.close();
    await lively.close();
  });
});

describe('a connection that nobody uses', () => {
  it('is closed, also when it was looked at while it had calls', async () => {
    let respond = (): void => undefined;
    await open((socket, stream) => {
      respond = () => void socket.write(answerFrames(stream));
    });
    const pending = await underWay();
    vi.advanceTimersByTime(LOOK_MS);
    respond();
    expect(await pending.text()).toBe('{"ok":true}');
    vi.advanceTimersByTime(2 * LOOK_MS);
    await firstIsClosed();
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect(server.sockets).toHaveLength(2);
  });

  it('is kept for a while', async () => {
    await open((socket, stream) => void socket.write(answerFrames(stream)));
    for (let i = 0; i < 5; i += 1) {
      expect(await call(upstream).text()).toBe('{"ok":true}');
      vi.advanceTimersByTime(LOOK_MS);
    }
    expect(server.sockets).toHaveLength(1);
  });
});

describe('an upstream that keeps its side of a connection open', () => {
  it.each([
    [
      'after an answer',
      (socket: Socket, stream: number) => void socket.write(answerFrames(stream)),
    ],
    ['without an answer', silence],
    ['after it broke the protocol', breakIt],
  ])('does not hold up the end: %s', async (_, reply) => {
    await open(reply);
    await underWay();
    await eventually(() => expect(server.frames.length).toBeGreaterThan(2));
    await upstream.close();
    await firstIsClosed();
    expect(await failureOf(call(upstream).head)).toMatchObject(NOT_SENT);
  });

  it("nor the broker's", async () => {
    vi.useRealTimers();
    await open(breakIt);
    const running = await startRunningBroker({
      upstreamUrl: server.url,
      http2: true,
      gateway: { firstByteSeconds: 1 },
    });
    const { token, grant } = await running.access();
    const url = `${running.url}/v1/chat/completions`;
    const first = post(url, token, HELLO);
    await eventually(() => expect(server.frames).toContain(GOAWAY));
    const answers = await Promise.all([first, post(url, token, HELLO)]);
    // The second was not sent, and so is not charged.
    expect(answers.map(({ status }) => status)).toEqual([504, 502]);
    const outcomes = running.entries({ kind: 'request.outcome', grant: grant.id });
    expect(outcomes.map(({ data }) => [data?.end, data?.charged?.requests])).toEqual([
      ['upstream_incomplete', 1],
      ['not_forwarded', 0],
    ]);
    await running.close();
  });
});
