/** Calls over HTTP/2: many on one connection, and none of them suffers for another. */
import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Upstream } from '../../src/gateway/upstream.ts';
import {
  GOAWAY,
  RST_STREAM,
  answer,
  frame,
  startFrameUpstream,
  startHttp2Upstream,
  type Http2Upstream,
} from '../support/http2-upstream.ts';
import { HELLO, drain, eventually, startRunningBroker } from '../support/running-broker.ts';
import { startRawUpstream } from '../support/raw-upstream.ts';
import { call, failureOf, openUpstream, type Call } from '../support/upstream-calls.ts';

let server: Http2Upstream;
let upstream: Upstream;

async function open(
  options: Parameters<typeof openUpstream>[1] = {},
  mostStreams?: number,
): Promise<void> {
  server = await startHttp2Upstream(mostStreams);
  ({ upstream } = openUpstream(server.url, { http2: true, ...options }));
}

async function close(): Promise<void> {
  await upstream.close();
  await server.close();
}

/** So many calls that have all arrived and have no answer yet. */
async function held(count: number): Promise<{ calls: Call[]; streams: ServerHttp2Stream[] }> {
  const from = server.streams.length;
  const arrived: ServerHttp2Stream[] = [];
  server.respond((stream) => arrived.push(stream));
  const calls = Array.from({ length: count }, () => call(upstream));
  for (const { head } of calls) head.catch(() => undefined);
  await eventually(() => expect(arrived).toHaveLength(count));
  expect(server.streams.length - from).toBe(count);
  return { calls, streams: arrived };
}

const GIVEN_BACK = { code: 'upstream_unreachable', mayHaveArrived: false };
const expectGivenBack = (failure: object): void => expect(failure).toMatchObject(GIVEN_BACK);

describe('calls', () => {
  beforeEach(() => open());
  afterEach(close);

  it('share a connection, all at once', async () => {
    const { calls, streams } = await held(200);
    for (const stream of streams) answer(stream);
    const texts = await Promise.all(calls.map(({ text }) => text()));
    expect(new Set(texts)).toEqual(new Set(['{"ok":true}']));
    expect(server.sessions).toHaveLength(1);
  });

  it('arrive as they were sent', async () => {
    const { calls, streams } = await held(1);
    expect(streams[0]?.sentHeaders).toBeUndefined();
    answer(streams[0] as ServerHttp2Stream);
    await calls[0]?.text();
    const body = 'x'.repeat(300_000);
    const chunks: Buffer[] = [];
    server.respond((stream) => answer(stream));
    const arrived = once(server.sessions[0] as object as NodeJS.EventEmitter, 'stream');
    const large = call(upstream, body);
    const [stream, headers] = (await arrived) as [ServerHttp2Stream, Record<string, string>];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await large.text();
    expect(Buffer.concat(chunks).toString()).toBe(body);
    expect(headers).toMatchObject({
      ':method': 'POST',
      ':path': '/v1/chat/completions',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
    });
  });

  it('that are aborted are reset at once, and the others go on', async () => {
    const { calls, streams } = await held(3);
    const [before, during, other] = streams as [
      ServerHttp2Stream,
      ServerHttp2Stream,
      ServerHttp2Stream,
    ];
    during.respond({ ':status': 200 });
    during.write('{"begun":');
    await calls[1]?.head;
    for (const [i, stream] of [before, during].entries()) {
      const closed = once(stream, 'close');
      const reason = new Error('client gone');
      const text = calls[i]?.text();
      calls[i]?.cancellation.cancel(reason);
      await expect(text).rejects.toBe(reason);
      await closed;
      expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    }
    answer(other);
    expect(await calls[2]?.text()).toBe('{"ok":true}');
    expect(server.sessions).toHaveLength(1);
    expect(server.sessions[0]?.closed).toBe(false);
  });

  it('that are read slowly hold their own upstream, and not the others', async () => {
    const { calls, streams } = await held(2);
    const [slow, quick] = streams as [ServerHttp2Stream, ServerHttp2Stream];
    const content = 'x'.repeat(5_000_000);
    answer(slow, content);
    const slowly = await (calls[0] as Call).head;
    await eventually(() => expect(slow.writableLength).toBeGreaterThan(1_000_000));
    answer(quick, content);
    expect((await calls[1]?.text())?.length).toBe(content.length);
    expect(slow.writableLength).toBeGreaterThan(1_000_000);
    let length = 0;
    await slowly.read((chunk) => void (length += chunk.length));
    expect(length).toBe(content.length);
  });

  it('fail together when their connection dies, and none is sent again', async () => {
    const { calls, streams } = await held(5);
    for (const stream of streams.slice(0, 2)) {
      stream.respond({ ':status': 200 });
      stream.write('{"begun":');
    }
    await Promise.all(calls.slice(0, 2).map(({ head }) => head));
    const failures = calls.map(({ text }) => failureOf(text()));
    server.sockets[0]?.resetAndDestroy();
    for (const failure of await Promise.all(failures))
      expect(failure).toMatchObject({ code: 'upstream_incomplete', mayHaveArrived: true });
    server.respond((stream) => answer(stream));
    expect(await call(upstream).text()).toBe('{"ok":true}');
    expect([server.streams.length, server.sessions.length]).toEqual([6, 2]);
    expect(calls.map(({ sent }) => sent())).toEqual([1, 1, 1, 1, 1]);
  });

  it('that run finish on a connection that is to be left, and new ones go elsewhere', async () => {
    const { calls, streams } = await held(3);
    const leaving = server.sessions[0];
    leaving?.goaway(constants.NGHTTP2_NO_ERROR);
    server.respond((stream) => answer(stream));
    // Until the word has come, a call still goes out on the old connection, and is given back unprocessed.
    while (server.sessions.length === 1) {
      const next = call(upstream);
      await next.text().catch(() => failureOf(next.head).then(expectGivenBack));
    }
    for (const stream of streams) answer(stream);
    for (const { text } of calls) expect(await text()).toBe('{"ok":true}');
  });

  it('that are answered before all of the request was read are answered', async () => {
    // There is a connection.
    (await held(1)).calls[0]?.cancellation.cancel(new Error('only to connect'));
    const arrived = once(server.sessions[0] as object as NodeJS.EventEmitter, 'stream');
    const large = call(upstream, 'x'.repeat(5_000_000));
    const [stream] = (await arrived) as [ServerHttp2Stream];
    stream.pause();
    stream.respond({ ':status': 413 });
    stream.end('{"error":{}}');
    expect((await large.head).statusCode).toBe(413);
    expect(await large.text()).toBe('{"error":{}}');
  });

  it('take informational answers for what they are', async () => {
    server.respond((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</x>' });
      answer(stream);
    });
    const { head, text } = call(upstream);
    expect([(await head).statusCode, await text()]).toEqual([200, '{"ok":true}']);
  });
});

describe('an upstream that takes few streams at a time', () => {
  beforeEach(() => open({}, 4));
  afterEach(close);

  it('gets further connections, and refuses none', async () => {
    const { calls, streams } = await held(20);
    for (const stream of streams) answer(stream);
    for (const { text } of calls) expect(await text()).toBe('{"ok":true}');
    expect(server.sessions).toHaveLength(5);
  });
});

describe('deadlines', () => {
  beforeEach(() => open({ times: { firstByteMs: 100, idleMs: 100 } }));
  afterEach(close);

  it('reset a stream whose answer does not begin or does not go on', async () => {
    server.respond(() => undefined);
    const silent = call(upstream);
    expect(await failureOf(silent.head)).toMatchObject({
      code: 'upstream_timeout',
      mayHaveArrived: true,
    });
    server.respond((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('{"begun":');
    });
    const stalled = call(upstream);
    await stalled.head;
    expect(await failureOf(stalled.text())).toMatchObject({ code: 'upstream_timeout' });
    await eventually(() => expect(server.streams.map(({ rstCode }) => rstCode)).toEqual([8, 8]));
    server.respond((stream) => answer(stream));
    expect(await call(upstream).text()).toBe('{"ok":true}');
  });
});

describe('a deadline of one call', () => {
  beforeEach(() => open({ times: { firstByteMs: 100 } }));
  afterEach(close);

  it('does not touch the others of its connection', async () => {
    let finish = (): void => undefined;
    server.respond((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('{"ok":');
      finish = () => void stream.end('true}');
    });
    const other = call(upstream);
    await other.head;
    server.respond(() => undefined);
    expect(await failureOf(call(upstream).head)).toMatchObject({ code: 'upstream_timeout' });
    expect(server.sessions).toHaveLength(1);
    finish();
    expect(await other.text()).toBe('{"ok":true}');
  });
});

describe('a reader that takes longer than the idle deadline', () => {
  beforeEach(() => open({ times: { idleMs: 300 } }));
  afterEach(close);

  it('is not taken for a silent upstream', async () => {
    const content = 'x'.repeat(3_000_000);
    server.respond((stream) => answer(stream, content));
    let length = 0;
    let paused = false;
    await (
      await call(upstream).head
    ).read((chunk) => {
      length += chunk.length;
      if (paused) return undefined;
      paused = true;
      // Twice the idle deadline: what is waited for is that nothing happens.
      return new Promise((resolve) => setTimeout(resolve, 600));
    });
    expect(length).toBe(content.length);
  });
});

describe('frames', () => {
  it.each([
    [
      'GOAWAY that leaves it out',
      (stream: number) => frame(GOAWAY, 0, [0, 0, 0, stream - 1, 0, 0, 0, 0]),
    ],
    ['REFUSED_STREAM', (stream: number) => frame(RST_STREAM, stream, [0, 0, 0, 7])],
  ])(
    'a call that is given back unprocessed (%s) costs nothing, and is not sent again',
    async (_, reply) => {
      const raw = await startFrameUpstream((socket, stream) => socket.write(reply(stream)));
      const { upstream: refusing } = openUpstream(raw.url, { http2: true });
      const refused = call(refusing);
      expect(await failureOf(refused.head)).toMatchObject({
        code: 'upstream_unreachable',
        mayHaveArrived: false,
      });
      expect([raw.requests, refused.sent()]).toEqual([[1], 1]);
      await refusing.close();
      raw.close();
    },
  );

  it.each([0, 2, 8])('a stream that is reset with code %i ends its call', async (code) => {
    const raw = await startFrameUpstream((socket, stream) =>
      socket.write(frame(RST_STREAM, stream, [0, 0, 0, code])),
    );
    const { upstream: resetting } = openUpstream(raw.url, { http2: true });
    expect(await failureOf(call(resetting).head)).toMatchObject({
      code: 'upstream_incomplete',
      mayHaveArrived: true,
    });
    expect(raw.requests).toEqual([1]);
    await resetting.close();
    raw.close();
  });
});

it('an upstream that does not speak HTTP/2 is not reachable', async () => {
  const raw = await startRawUpstream();
  raw.respond((socket) => socket.end());
  const { upstream: other, logged } = openUpstream(raw.url, {
    http2: true,
    times: { connectMs: 200 },
  });
  expect(await failureOf(call(other).head)).toMatchObject(GIVEN_BACK);
  expect(logged).toHaveLength(1);
  await other.close();
  await raw.close();
});

it('an endpoint can ask for it: whole answers and streams come through the broker', async () => {
  const http2 = await startHttp2Upstream();
  const running = await startRunningBroker({ upstreamUrl: http2.url, http2: true });
  try {
    const { openai, grant } = await running.access();
    const message = { role: 'assistant', content: 'Hello.', refusal: null };
    http2.respond((stream) =>
      answer(stream, JSON.stringify({ model: HELLO.model, choices: [{ index: 0, message }] })),
    );
    const whole = await openai.chat.completions.create(HELLO);
    expect(whole.choices[0]?.message.content).toBe('Hello.');
    http2.respond((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
      const delta = { choices: [{ index: 0, delta: { content: 'Hello.' } }] };
      stream.end(`data: ${JSON.stringify(delta)}\n\ndata: [DONE]\n\n`);
    });
    const chunks = await drain(await openai.chat.completions.create({ ...HELLO, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content)).toEqual(['Hello.']);
    const outcomes = running.entries({ kind: 'request.outcome', grant: grant.id });
    expect(outcomes.map(({ data }) => data?.end)).toEqual(['completed', 'completed']);
    expect(http2.sessions).toHaveLength(1);
  } finally {
    await running.close();
    await http2.close();
  }
});
