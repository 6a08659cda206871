/** `/healthz` and `/readyz`: for whoever keeps the broker running, without a credential. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { createLogger } from '../../src/lib/log.ts';
import { startServer } from '../../src/server.ts';
import { HELLO, eventually, startRunningBroker } from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';
import { WRITER_THREAD } from '../support/store.ts';
import { KEEPER_THREAD } from '../support/test-broker.ts';

interface Health {
  status: number;
  body: unknown;
}

async function health(url: string | undefined, path = '/readyz'): Promise<Health> {
  const answer = await fetch(`${url}${path}`);
  return { status: answer.status, body: await answer.json() };
}

const ALIVE = { status: 200, body: { status: 'ok' } };
const READY = { status: 200, body: { status: 'ready' } };
const notReady = (reason: string): Health => ({
  status: 503,
  body: { status: 'not ready', reason },
});

it('an idle broker whose log cannot be written says so within a second, and is back by itself', async () => {
  const running = await startRunningBroker({ metrics: { port: 0 } });
  onTestFinished(() => running.close());
  const { url, metricsUrl } = running.test;
  const both = [url, metricsUrl];
  for (const one of both) expect(await health(one)).toEqual(READY);

  // Nobody asks for anything, so nothing is written that could fail.
  const unlock = running.lockLog();
  onTestFinished(unlock);
  await eventually(() => expect(health(url)).resolves.toEqual(notReady('log_unavailable')), 2_000);
  for (const one of both) {
    expect(await health(one)).toEqual(notReady('log_unavailable'));
    expect(await health(one, '/healthz')).toEqual(ALIVE);
  }
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  expect(text).toMatch(/^sallyport_ready 0$/m);
  expect(text).toMatch(/^sallyport_log_writable 0$/m);

  unlock();
  await eventually(() => expect(health(url)).resolves.toEqual(READY));
  expect(await health(metricsUrl)).toEqual(READY);
});

it('asking again and again has little written', async () => {
  const running = await startRunningBroker();
  onTestFinished(() => running.close());
  const { store } = running.test.broker;
  let probes = 0;
  const write = store.write.bind(store);
  store.write = (name, ...rest) => {
    if (name === 'probe') probes += 1;
    return write(name, ...rest);
  };
  const began = performance.now();
  for (let i = 0; i < 20; i += 1)
    await Promise.all(Array.from({ length: 10 }, () => health(running.url)));
  const halfSeconds = Math.floor((performance.now() - began) / 500);
  expect(probes).toBeLessThanOrEqual(halfSeconds + 1);
});

it('a broker that starts lives, and is not ready before what a crash left open is closed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-health-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const starting = startServer({
    config: configSchema.parse({ server: { port }, dataDir: join(directory, 'data') }),
    log: createLogger({ level: 'silent' }),
    writerThread: slowWriter(directory),
    keeperThread: KEEPER_THREAD,
  });
  const progress = { started: false };
  void starting.then(() => (progress.started = true));
  const heard = { health: new Set<string>(), ready: new Set<string>(), model: new Set<string>() };
  while (!progress.started) {
    try {
      heard.health.add(JSON.stringify(await health(url, '/healthz')));
      const ready = JSON.stringify(await health(url));
      const model = await fetch(`${url}/v1/models`);
      const { error } = (await model.json()) as { error?: { code: string } };
      if (progress.started) break;
      heard.ready.add(ready);
      heard.model.add(`${model.status} ${error?.code}`);
    } catch {
      // It does not listen yet.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const server = await starting;
  onTestFinished(() => server.close());
  expect([...heard.health]).toEqual([JSON.stringify(ALIVE)]);
  expect([...heard.ready]).toEqual([JSON.stringify(notReady('starting'))]);
  // In the shape that SDKs read.
  expect([...heard.model]).toEqual(['503 starting_up']);
  expect(await health(url)).toEqual(READY);
});

it('a broker that stops is not ready while what is in flight ends', async () => {
  const running = await startRunningBroker({ metrics: { port: 0 } });
  onTestFinished(() => running.close());
  const { openai } = await running.access();
  const asked = running.onceAsked(hold({ chunks: ['a'] }));
  const leaving = new AbortController();
  const stream = await openai.chat.completions.create(
    { ...HELLO, stream: true },
    { signal: leaving.signal },
  );
  await asked;
  const closed = running.test.close();
  const { metricsUrl } = running.test;
  expect(await health(metricsUrl)).toEqual(notReady('stopping'));
  expect(await health(metricsUrl, '/healthz')).toEqual(ALIVE);
  for await (const _ of stream) leaving.abort();
  await closed;
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The real writer thread, whose answers take a while, and so the start does. */
function slowWriter(directory: string): URL {
  const path = join(directory, 'slow-writer.mjs');
  writeFileSync(
    path,
    `import { parentPort } from 'node:worker_threads';
     const { postMessage } = parentPort;
     parentPort.postMessage = (message) => {
       const send = () => postMessage.call(parentPort, message);
       // The last one: the port is closed behind it.
       if (message.kind === 'stopped') send();
       else setTimeout(send, 200);
     };
     await import(${JSON.stringify(WRITER_THREAD.href)});`,
  );
  return pathToFileURL(path);
}
