/**
 * Known failure 26: one receiver of the log that hangs freezes everything. Here it is the only one that gets nothing: calls
 * of the model, writes of the log and the other receivers go on. (The other half, a log file that is deleted, is tested in
 * tests/store/deleted-files.)
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { startReceiver, type Receiver } from '../support/notices.ts';
import { HELLO, startRunningBroker, type RunningBroker } from '../support/running-broker.ts';
import { openaiJson } from '../support/scripted-upstream.ts';
import { startSyslogServer, type SyslogServer } from '../support/syslog-server.ts';

const SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
const FOLDER = mkdtempSync(join(tmpdir(), 'sallyport-hung-'));

let running: RunningBroker;
let deafSyslog: SyslogServer | undefined;
/** Accepts connections and never reads, never answers, never closes. */
let deaf: Server;
const held = new Set<Socket>();
let good: Receiver;
const file = join(FOLDER, 'log.jsonl');

beforeAll(async () => {
  process.env['HUNG_SECRET'] = SECRET;
  deaf = createServer((socket) => {
    socket.pause();
    held.add(socket.on('error', () => undefined));
  }).listen(0, '127.0.0.1');
  await once(deaf, 'listening');
  const { port } = deaf.address() as { port: number };
  good = await startReceiver();
  const syslog = [{ id: 'deaf-tcp', host: '127.0.0.1', port, tls: {} }];
  if (hasOpenssl) {
    const authority = new Authority(FOLDER, 'ca');
    deafSyslog = await startSyslogServer(authority.issue('syslog'));
    deafSyslog.deaf(true);
    const tls = { caFile: authority.caFile };
    syslog.push({ id: 'deaf-tls', host: '127.0.0.1', port: deafSyslog.port, tls });
  }
  const url = `http://127.0.0.1:${port}/`;
  running = await startRunningBroker({
    forward: {
      allowInsecureLoopback: true,
      syslog,
      webhooks: [
        { id: 'deaf-webhook', url, secret: 'env:HUNG_SECRET' },
        { id: 'good-webhook', url: good.url, secret: 'env:HUNG_SECRET' },
      ],
      files: [{ id: 'good-file', path: file }],
    },
  });
  running.upstream.respond(openaiJson());
});
const closed = (): Promise<void> => (closing ??= running.close());
let closing: Promise<void> | undefined;

afterAll(async () => {
  await closed();
  for (const socket of held) socket.destroy();
  deaf.close();
  await deafSyslog?.close();
  await good.close();
  delete process.env['HUNG_SECRET'];
  rmSync(FOLDER, { recursive: true, force: true });
});

const indexesOf = (lines: string): number[] =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { index: number }).index);

test('calls pass, and those who read get every entry, while others never read', async () => {
  const access = await running.access();
  for (let i = 0; i < 40; i += 1) await access.openai.chat.completions.create(HELLO);
  const { broker } = running.test;
  await broker.store.caughtUp();
  const size = broker.readers.logSize();
  const upTo = Array.from({ length: size }, (_, i) => i);
  const got = (): number[] => good.received.flatMap(({ body }) => indexesOf(body));
  await expect.poll(() => got().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(size);
  expect(got().slice(0, size)).toEqual(upTo);
  await expect
    .poll(() => indexesOf(readFileSync(file, 'utf8')).length, { timeout: 15_000 })
    .toBeGreaterThanOrEqual(size);
  expect(indexesOf(readFileSync(file, 'utf8')).slice(0, size)).toEqual(upTo);
  const shown = new Map(broker.forwarding.shown().map((one) => [one.id, one]));
  for (const id of ['deaf-tcp', 'deaf-webhook', ...(hasOpenssl ? ['deaf-tls'] : [])])
    expect(shown.get(id)).toMatchObject({ next: 0, deliveredAt: null });
  expect(held.size).toBeGreaterThan(0);
});

test('the stop of the broker does not wait for them', async () => {
  const begun = performance.now();
  await closed();
  expect(performance.now() - begun).toBeLessThan(8_000);
});
