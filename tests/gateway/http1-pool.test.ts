/** How many connections are opened to an upstream, for whom, and when they go. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Socket } from 'node:net';
import type { Upstream } from '../../src/gateway/upstream.ts';
import { answerOf, startRawUpstream, type RawUpstream } from '../support/raw-upstream.ts';
import { eventually } from '../support/running-broker.ts';
import { call, failureOf, openUpstream, type Call } from '../support/upstream-calls.ts';

const OK = answerOf('{"ok":true}');
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';

let raw: RawUpstream;
let upstream: Upstream;

beforeEach(async () => {
  raw = await startRawUpstream();
  ({ upstream } = openUpstream(raw.url));
});
afterEach(async () => {
  vi.useRealTimers();
  await upstream.close();
  await raw.close();
});

/** Whatever is under way between the two ends has arrived. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

const open = (): Socket[] => raw.connections.filter(({ destroyed }) => !destroyed);

/** So many calls at the same time, each on a connection of its own, to their ends. */
async function burst(many: number, answer = OK): Promise<void> {
  const waiting: Socket[] = [];
  raw.respond((socket) => void waiting.push(socket));
  const calls = Array.from({ length: many }, () => call(upstream));
  await eventually(() => expect(waiting).toHaveLength(many));
  for (const socket of waiting) socket.write(answer);
  const texts = await Promise.all(calls.map(({ text }) => text()));
  expect(new Set(texts)).toEqual(new Set(['{"ok":true}']));
  raw.respond((socket) => socket.write(OK));
  await settled();
}

/** The client is gone. */
async function cancel({ cancellation, text }: Call): Promise<void> {
  const reason = new Error('client gone');
  cancellation.cancel(reason);
  await expect(text()).rejects.toBe(reason);
  await settled();
}

describe('a call that nobody wants any more opens no connection', () => {
  it('when its answer has not begun', async () => {
    raw.respond(() => undefined);
    const one = call(upstream);
    await eventually(() => expect(raw.requests).toHaveLength(1));
    await cancel(one);
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect([raw.connections.length, raw.requests.length]).toEqual([1, 1]);
  });

  it('when its answer is on its way', async () => {
    raw.respond((socket) => socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`));
    const one = call(upstream);
    await one.head;
    await cancel(one);
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect([raw.connections.length, raw.requests.length]).toEqual([1, 1]);
  });

  it('when it was destroyed by who reads it', async () => {
    raw.respond((socket) => socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`));
    const one = await call(upstream).head;
    one.destroy();
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect(raw.connections).toHaveLength(1);
  });

  it('while its own is being made: nothing is sent on that', async () => {
    const one = call(upstream);
    await cancel(one);
    await eventually(() => expect(raw.connections).toHaveLength(1));
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect([raw.connections.length, raw.requests.length, one.sent()]).toEqual([1, 0, 0]);
  });

  it('on a connection that served before', async () => {
    await burst(1);
    raw.respond(() => undefined);
    const one = call(upstream);
    await eventually(() => expect(raw.requests).toHaveLength(2));
    await cancel(one);
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect(raw.connections).toHaveLength(1);
    // The next has one of its own.
    raw.respond((socket) => socket.write(OK));
    await call(upstream).text();
    expect([raw.connections.length, raw.requests.length]).toEqual([2, 3]);
  });

  it('on a connection that the upstream is closing, but for the one that it waits for', async () => {
    raw.respond((socket) => socket.end(answerOf('{"ok":true}', ['connection: close'])));
    await call(upstream).text();
    const one = call(upstream);
    await cancel(one);
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect(raw.connections.length).toBeLessThanOrEqual(2);
    expect([raw.requests.length, one.sent()]).toEqual([1, 0]);
  });

  it('however many go at once, and those that stay are answered', async () => {
    raw.respond(() => undefined);
    const calls = Array.from({ length: 20 }, () => call(upstream));
    await eventually(() => expect(raw.requests).toHaveLength(20));
    const [gone, staying] = [calls.slice(0, 15), calls.slice(15)];
    await Promise.all(gone.map(cancel));
    await eventually(() => expect(open()).toHaveLength(5));
    for (const socket of open()) socket.write(OK);
    const texts = await Promise.all(staying.map(({ text }) => text()));
    expect(new Set(texts)).toEqual(new Set(['{"ok":true}']));
    await settled();
    expect([raw.connections.length, raw.requests.length]).toEqual([20, 20]);
  });
});

describe('a connection', () => {
  it('serves again when its call is over: the one that was used last', async () => {
    await burst(3);
    expect(raw.connections).toHaveLength(3);
    const served: Socket[] = [];
    raw.respond((socket) => {
      served.push(socket);
      socket.write(OK);
    });
    for (let i = 0; i < 5; i += 1) {
      await call(upstream).text();
      await settled();
    }
    expect([raw.connections.length, new Set(served).size]).toEqual([3, 1]);
  });

  it('serves one call at a time', async () => {
    await burst(2);
    await burst(5);
    expect(raw.connections).toHaveLength(5);
    await burst(5);
    expect(raw.connections).toHaveLength(5);
  });

  it('that the upstream closes while nobody uses it is not used again', async () => {
    await burst(4);
    for (const socket of raw.connections.slice(0, 3)) socket.end();
    await eventually(() => expect(open()).toHaveLength(1));
    await settled();
    await burst(4);
    expect([raw.connections.length, open().length]).toEqual([7, 4]);
  });

  it('that the upstream closes with its answer is not used again, and nobody waits for it', async () => {
    raw.respond((socket) => socket.end(answerOf('{"ok":true}', ['connection: close'])));
    for (let i = 0; i < 5; i += 1) expect(await call(upstream).text()).toBe('{"ok":true}');
    const texts = await Promise.all(Array.from({ length: 5 }, () => call(upstream).text()));
    expect(new Set(texts)).toEqual(new Set(['{"ok":true}']));
    expect([raw.connections.length, raw.requests.length]).toEqual([10, 10]);
    await eventually(() => expect(open()).toHaveLength(0));
  });

  it('whose answer says that it closes is closed by us where the upstream does not', async () => {
    raw.respond((socket) => socket.write(answerOf('{"ok":true}', ['connection: close'])));
    for (let i = 0; i < 3; i += 1) {
      await call(upstream).text();
      await settled();
    }
    expect([raw.connections.length, raw.requests.length]).toEqual([3, 3]);
    await eventually(() => expect(open()).toHaveLength(0));
  });

  it('goes four seconds after its last call, those that still serve stay', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    // Not through `eventually`, which would let the time go by.
    const waiting: Socket[] = [];
    raw.respond((socket) => void waiting.push(socket));
    const calls = Array.from({ length: 5 }, () => call(upstream));
    while (waiting.length < 5) await settled();
    for (const socket of waiting) socket.write(OK);
    await Promise.all(calls.map(({ text }) => text()));
    await settled();
    raw.respond((socket) => socket.write(OK));
    vi.advanceTimersByTime(3_000);
    await settled();
    expect(open()).toHaveLength(5);
    await call(upstream).text();
    await settled();
    vi.advanceTimersByTime(1_100);
    // What takes real time is to hear of it.
    for (let i = 0; i < 500 && open().length > 1; i += 1) await settled();
    expect(open()).toHaveLength(1);
    vi.advanceTimersByTime(3_000);
    for (let i = 0; i < 500 && open().length > 0; i += 1) await settled();
    expect(open()).toHaveLength(0);
    // And the next call opens one.
    await call(upstream).text();
    expect(raw.connections).toHaveLength(6);
  });
});

describe('when it is closed', () => {
  it('nothing is sent any more: the upstream cannot be reached', async () => {
    await burst(2);
    await upstream.close();
    await eventually(() => expect(open()).toHaveLength(0));
    const late = call(upstream);
    expect(await failureOf(late.text())).toMatchObject({
      code: 'upstream_unreachable',
      mayHaveArrived: false,
    });
    await settled();
    expect([late.sent(), raw.connections.length, raw.requests.length]).toEqual([0, 2, 2]);
  });

  it('calls under way fail, and their connections go', async () => {
    await burst(2);
    raw.respond(() => undefined);
    const calls = [call(upstream), call(upstream), call(upstream)];
    await eventually(() => expect(raw.requests).toHaveLength(5));
    const failures = calls.map(({ head }) => failureOf(head));
    await upstream.close();
    for (const failure of failures)
      expect(await failure).toMatchObject({ code: 'upstream_incomplete', mayHaveArrived: true });
    await eventually(() => expect(open()).toHaveLength(0));
    await settled();
    expect([raw.connections.length, raw.requests.length]).toEqual([3, 5]);
  });

  it('twice, nothing is wrong', async () => {
    await burst(1);
    await Promise.all([upstream.close(), upstream.close()]);
    await expect(upstream.close()).resolves.toBeUndefined();
  });
});

it('an upstream that cannot be reached is tried anew by each call', async () => {
  await raw.close();
  for (let i = 0; i < 3; i += 1) {
    const one = call(upstream);
    expect(await failureOf(one.text())).toMatchObject({
      code: 'upstream_unreachable',
      mayHaveArrived: false,
    });
    expect(one.sent()).toBe(0);
  }
  raw = await startRawUpstream();
});
