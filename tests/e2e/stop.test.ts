/** SIGTERM: what is in flight ends in order, within a deadline, and on record. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import {
  cleanUp,
  killAll,
  newDirectory,
  startDemo,
  startServe,
  tokenFrom,
  writeServeConfig,
  type DemoFacts,
  type Running,
} from '../support/broker-process.ts';
import {
  hang,
  hold,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { accountOf, journalled, readStored } from '../support/stored-log.ts';

let upstream: ScriptedUpstream;
let facts: DemoFacts;
let broker: { process: Running; url: string };
let token: string;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  const demo = await startDemo({ dataDir: newDirectory(), upstream: upstream.url });
  await demo.process.end('SIGTERM');
  facts = demo.facts;
});

afterEach(killAll);

afterAll(async () => {
  await cleanUp();
  await upstream.close();
});

async function start(shutdownSeconds: number): Promise<void> {
  upstream.requests.length = 0;
  broker = await startServe(writeServeConfig(facts, { upstream: upstream.url, shutdownSeconds }));
  token = await tokenFrom(facts, broker.url);
}

function call(stream: boolean): Promise<Response> {
  return fetch(`${broker.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: facts.model,
      stream,
      messages: [{ role: 'user', content: 'Hello!' }],
    }),
  });
}

/** A stream of which the first event has come, and the rest of it. */
async function openStream(): Promise<{ id: string; rest: Promise<string> }> {
  const answer = await call(true);
  expect(answer.status).toBe(200);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = decoder.decode((await reader.read()).value);
  const rest = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  })();
  rest.catch(() => undefined);
  return { id: answer.headers.get('x-request-id') ?? '', rest };
}

/** Whether the broker serves: 200, or once it is stopping 503 or no connection. */
async function readiness(): Promise<number | 'refused'> {
  try {
    return (await fetch(`${broker.url}/readyz`)).status;
  } catch {
    return 'refused';
  }
}

const isStopping = (): Promise<void> =>
  vi.waitFor(async () => expect([503, 'refused']).toContain(await readiness()), 5_000);

const stored = () =>
  readStored(facts.dataDir, (data) => {
    const entries = data.entries();
    return {
      account: accountOf(entries),
      last: entries.at(-1)?.entry.kind,
      signed: data.checkpoints().has(entries.length),
    };
  });

test('a stream that ends within the deadline ends as if nothing were', async () => {
  await start(15);
  const answer = hold();
  upstream.respond(answer);
  const { id, rest } = await openStream();
  broker.process.signal('SIGTERM');
  await isStopping();
  const statusOf = (newcomer: Promise<Response>): Promise<number | 'refused'> =>
    newcomer.then(
      ({ status }) => status,
      () => 'refused',
    );
  for (const newcomer of [call(false), call(true)])
    expect([503, 'refused']).toContain(await statusOf(newcomer));
  expect(upstream.requests).toHaveLength(1);
  expect(broker.process.hasExited).toBe(false);
  answer.release();
  expect(await rest).toMatch(/data: \[DONE\]\n\n$/);
  expect(await broker.process.exited).toEqual({ code: 0, signal: null });
  const { account, last, signed } = stored();
  expect(account.outcomes.get(id)).toMatchObject({ end: 'completed' });
  expect(account.open).toEqual([]);
  expect({ last, signed }).toEqual({ last: 'system.stopped', signed: true });
});

test('known failure 7: what does not end within the deadline is cut with an explicit error, and on record', async () => {
  await start(1);
  upstream.respond(hold());
  const { id, rest } = await openStream();
  upstream.respond(hang());
  const plain = call(false);
  await vi.waitFor(() => expect(upstream.requests).toHaveLength(2));
  broker.process.signal('SIGTERM');
  const text = await rest;
  expect(text).not.toContain('[DONE]');
  const last = text.trimEnd().split('\n\n').at(-1) ?? '';
  expect(JSON.parse(last.replace(/^data: /, ''))).toMatchObject({
    error: { code: 'shutting_down' },
  });
  const refused = await plain;
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });
  expect(await broker.process.exited).toEqual({ code: 0, signal: null });
  const { account, last: lastKind, signed } = stored();
  for (const request of [id, refused.headers.get('x-request-id') ?? '']) {
    expect(account.outcomes.get(request)).toMatchObject({ end: 'cut', reason: 'shutting_down' });
  }
  expect(account.open).toEqual([]);
  expect({ lastKind, signed }).toEqual({ lastKind: 'system.stopped', signed: true });
});

test('connections that say nothing do not keep it from ending', async () => {
  await start(1);
  const { port } = new URL(broker.url);
  const silent = connect(Number(port), '127.0.0.1');
  const halfway = connect(Number(port), '127.0.0.1');
  const gone = Promise.all(
    [silent, halfway].map((socket) => {
      socket.on('error', () => undefined).resume();
      return new Promise((resolve) => socket.once('close', resolve));
    }),
  );
  await new Promise((resolve) => {
    halfway.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      resolve,
    );
  });
  // Answered on a later connection, so the broker knows of both of these.
  expect((await fetch(`${broker.url}/healthz`)).status).toBe(200);
  const begun = performance.now();
  expect(await broker.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(performance.now() - begun).toBeLessThan(4_000);
  await gone;
  expect(stored().last).toBe('system.stopped');
});

test('a second SIGTERM ends it at once; the next start closes what was open', async () => {
  await start(60);
  upstream.respond(hold());
  const { id, rest } = await openStream();
  broker.process.signal('SIGTERM');
  await isStopping();
  expect(broker.process.hasExited).toBe(false);
  const begun = performance.now();
  const { code } = await broker.process.end('SIGTERM');
  expect(performance.now() - begun).toBeLessThan(1_000);
  expect(code).not.toBe(0);
  await expect(rest).rejects.toThrow('terminated');
  // Carried over into the database or not yet: it is on record.
  const open = [...stored().account.open, ...journalled(facts.dataDir).map(({ ref }) => ref)];
  expect(open).toEqual([id]);
  await start(1);
  expect(stored().account.outcomes.get(id)).toMatchObject({ end: 'unknown' });
});
