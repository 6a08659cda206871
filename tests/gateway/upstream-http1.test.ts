/** Calls over HTTP/1.1 to upstreams that break, stall and lie at every point. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Upstream } from '../../src/gateway/upstream.ts';
import { answerOf, startRawUpstream, type RawUpstream } from '../support/raw-upstream.ts';
import { eventually } from '../support/running-broker.ts';
import { call, failureOf, openUpstream } from '../support/upstream-calls.ts';

const OK = answerOf('{"ok":true}');
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';

let raw: RawUpstream;
let upstream: Upstream;
let logged: Record<string, unknown>[];

beforeEach(async () => {
  raw = await startRawUpstream();
  ({ upstream, logged } = openUpstream(raw.url, { times: { firstByteMs: 300, idleMs: 300 } }));
});
afterEach(async () => {
  await upstream.close();
  await raw.close();
});

/** A connection can be used again in the next turn of the loop. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The next call gets through, and is the only one that came after what went before. */
async function nextIsNumber(count: number): Promise<void> {
  raw.respond((socket) => socket.write(OK));
  expect(await call(upstream).text()).toBe('{"ok":true}');
  expect(raw.requests).toHaveLength(count);
}

describe('a request is sent once, wherever the connection breaks', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['closed before the answer', (socket) => socket.end()],
    ['reset before the answer', (socket) => socket.resetAndDestroy()],
    ['in the status line', (socket) => socket.end('HTTP/1.1 20')],
    ['in the headers', (socket) => socket.end(HEAD)],
    ['after the headers', (socket) => socket.end(`${HEAD}content-length: 9\r\n\r\n`)],
    ['in the body', (socket) => socket.end(`${HEAD}content-length: 9\r\n\r\n{"a"`)],
    ['in a chunk', (socket) => socket.end(`${HEAD}transfer-encoding: chunked\r\n\r\n9\r\n{"a"`)],
    [
      'between chunks',
      (socket) => socket.end(`${HEAD}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`),
    ],
    [
      'reset in the body',
      (socket) =>
        socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`, () => socket.resetAndDestroy()),
    ],
  ])('%s', async (_, breakIt) => {
    raw.respond(breakIt);
    const first = call(upstream);
    expect(await failureOf(first.text())).toMatchObject({
      code: 'upstream_incomplete',
      mayHaveArrived: true,
    });
    expect(first.sent()).toBe(1);
    expect(raw.requests).toHaveLength(1);
    await nextIsNumber(2);
  });

  it('on a kept-alive connection that the upstream closes as the request arrives', async () => {
    raw.respond((socket) => socket.write(OK));
    await call(upstream).text();
    await turn();
    raw.respond((socket) => socket.destroy());
    const second = call(upstream);
    expect(await failureOf(second.text())).toMatchObject({ code: 'upstream_incomplete' });
    expect([raw.connections.length, raw.requests.length, second.sent()]).toEqual([1, 2, 1]);
    await nextIsNumber(3);
  });
});

describe('a connection that is about to close is not used', () => {
  it('when the upstream has closed it', async () => {
    raw.respond((socket) => socket.end(OK));
    await call(upstream).text();
    await eventually(() => expect(raw.connections[0]?.destroyed).toBe(true));
    await nextIsNumber(2);
    expect(raw.connections).toHaveLength(2);
  });

  it('when the upstream says that it soon will', async () => {
    raw.respond((socket) => socket.write(answerOf('{"ok":true}', ['keep-alive: timeout=1'])));
    await call(upstream).text();
    await nextIsNumber(2);
    expect(raw.connections).toHaveLength(2);
  });

  it('but one that stays open is', async () => {
    raw.respond((socket) => socket.write(answerOf('{"ok":true}', ['keep-alive: timeout=5'])));
    for (const count of [1, 2, 3]) {
      await call(upstream).text();
      await turn();
      expect([raw.connections.length, raw.requests.length]).toEqual([1, count]);
    }
  });
});

describe('what is no answer', () => {
  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a status that is no number', 'HTTP/1.1 OK\r\n\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nno header\r\n\r\n'],
    ['headers without end', `HTTP/1.1 200 OK\r\nx-large: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['a chunk without a length', `${HEAD}transfer-encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n`],
  ])('%s is refused', async (_, bytes) => {
    raw.respond((socket) => socket.write(bytes));
    expect(await failureOf(call(upstream).text())).toMatchObject({
      code: 'upstream_invalid',
      mayHaveArrived: true,
    });
    expect(logged.at(-1)).toMatchObject({ endpoint: 'demo', code: 'upstream_invalid' });
    await nextIsNumber(2);
  });

  it.each([
    [
      'an upgrade that nobody asked for',
      'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
    ['a length said twice', `${HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`],
    ['leave to go on that nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s ends the call', async (_, bytes) => {
    raw.respond((socket) => socket.write(bytes));
    expect(await failureOf(call(upstream).text())).toMatchObject({ code: 'upstream_incomplete' });
    await nextIsNumber(2);
  });

  it('a body that was compressed unasked is refused; an error keeps its status', async () => {
    raw.respond((socket) => socket.write(answerOf('not readable', ['content-encoding: gzip'])));
    const refused = await failureOf(call(upstream).text());
    expect(refused).toMatchObject({ code: 'upstream_invalid', mayHaveArrived: true });
    expect(refused.message).toContain('compressed');
    raw.respond((socket) =>
      socket.write('HTTP/1.1 503 Busy\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\n??'),
    );
    expect((await call(upstream).head).statusCode).toBe(503);
  });

  it('informational answers are passed over', async () => {
    raw.respond((socket) =>
      socket.write(
        `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${OK}`,
      ),
    );
    const { head, text } = call(upstream);
    expect([(await head).statusCode, await text()]).toEqual([200, '{"ok":true}']);
  });
});

describe('deadlines', () => {
  it('end a call whose answer does not begin', async () => {
    raw.respond(() => undefined);
    expect(await failureOf(call(upstream).head)).toMatchObject({
      code: 'upstream_timeout',
      mayHaveArrived: true,
    });
    // The connection is closed, so that the upstream can stop.
    await eventually(() => expect(raw.connections[0]?.destroyed).toBe(true));
    await nextIsNumber(2);
  });

  it('end a call whose answer does not go on', async () => {
    raw.respond((socket) => socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`));
    const stalled = call(upstream);
    expect((await stalled.head).statusCode).toBe(200);
    expect(await failureOf(stalled.text())).toMatchObject({ code: 'upstream_timeout' });
    await eventually(() => expect(raw.connections[0]?.destroyed).toBe(true));
    await nextIsNumber(2);
  });

  it('do not blame the upstream for a reader that takes longer', async () => {
    const content = 'x'.repeat(5_000_000);
    raw.respond((socket) => socket.write(answerOf(content)));
    const answer = await call(upstream).head;
    let length = 0;
    let paused = false;
    await answer.read((chunk) => {
      length += chunk.length;
      if (paused) return undefined;
      paused = true;
      // Twice the idle deadline: what is waited for is that nothing happens.
      return new Promise((resolve) => setTimeout(resolve, 600));
    });
    expect(length).toBe(content.length);
  });
});

describe('the reader', () => {
  it('gets every byte in order, however late it begins, and holds the upstream meanwhile', async () => {
    const content = Array.from({ length: 600_000 }, (_, i) => String(i)).join(' ');
    raw.respond((socket) => socket.write(answerOf(content)));
    const answer = await call(upstream).head;
    // The upstream cannot get rid of it all while nobody reads.
    await eventually(() => expect(raw.connections[0]?.writableLength).toBeGreaterThan(0));
    const chunks: Buffer[] = [];
    await answer.read((chunk) => {
      chunks.push(chunk);
      return new Promise((resolve) => setImmediate(resolve));
    });
    expect(Buffer.concat(chunks).toString()).toBe(content);
  });

  it('that throws ends the answer', async () => {
    raw.respond((socket) => socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`));
    const answer = await call(upstream).head;
    const failure = new Error('of the reader');
    await expect(
      answer.read(() => {
        throw failure;
      }),
    ).rejects.toBe(failure);
    await eventually(() => expect(raw.connections[0]?.destroyed).toBe(true));
  });

  it('that has seen enough leaves a connection that can be used again', async () => {
    raw.respond((socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n`);
      setImmediate(() => socket.write('4\r\nlast\r\n0\r\n\r\n'));
    });
    const answer = await call(upstream).head;
    const seen: string[] = [];
    await answer.read((chunk) => {
      seen.push(chunk.toString());
      answer.finish(5_000);
    });
    expect(seen).toEqual(['first']);
    // The rest is on its way. Until it is read off, other connections serve, each of them once.
    let served: Socket | undefined;
    raw.respond((socket) => {
      served = socket;
      socket.write(answerOf('{}', ['connection: close']));
    });
    while (served !== raw.connections[0]) await call(upstream).text();
  });

  it('that has seen enough does not wait for an upstream that goes on', async () => {
    raw.respond((socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n`);
    });
    const answer = await call(upstream).head;
    await answer.read(() => answer.finish(10));
    await eventually(() => expect(raw.connections[0]?.destroyed).toBe(true));
  });

  it('can be told of the end only when it has taken the last', async () => {
    raw.respond((socket) => socket.write(OK));
    const answer = await call(upstream).head;
    let taken = false;
    await answer.read(async () => {
      answer.finish(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      taken = true;
    });
    expect(taken).toBe(true);
  });
});

describe('an abort', () => {
  it('before the answer closes the connection at once', async () => {
    raw.respond(() => undefined);
    const aborted = call(upstream);
    await eventually(() => expect(raw.requests).toHaveLength(1));
    const closed = once(raw.connections[0] as Socket, 'close');
    const reason = new Error('client gone');
    aborted.cancellation.cancel(reason);
    await expect(aborted.head).rejects.toBe(reason);
    await closed;
  });

  it('in the middle of the answer closes the connection at once, and nothing more is handed out', async () => {
    raw.respond((socket) => socket.write(`${HEAD}content-length: 9\r\n\r\n{"a"`));
    const aborted = call(upstream);
    await aborted.head;
    const closed = once(raw.connections[0] as Socket, 'close');
    const reason = new Error('an order');
    aborted.cancellation.cancel(reason);
    await expect(aborted.text()).rejects.toBe(reason);
    await closed;
  });

  it('before anything was sent means that nothing is sent', async () => {
    const never = call(upstream);
    // The connection is being made.
    never.cancellation.cancel(new Error('client gone'));
    await expect(never.head).rejects.toThrow('client gone');
    await nextIsNumber(1);
    expect(never.sent()).toBe(0);
  });
});
