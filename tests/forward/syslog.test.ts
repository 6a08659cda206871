/** Entries to a syslog server: the form of RFC 5424 and RFC 5425, and what counts as delivered. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { forwardSchema, type ForwardAttempt } from '../../src/core/forwarding.ts';
import { SyslogForwarder } from '../../src/forward/syslog.ts';
import { WebhookForwarder } from '../../src/forward/webhook.ts';
import { Authority, hasOpenssl, type Pair } from '../support/certificates.ts';
import { startSyslogServer, type SyslogServer } from '../support/syslog-server.ts';

let folder: string;
let ours: Authority;
let others: Authority;
let server: Pair;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-syslog-'));
  if (!hasOpenssl) return;
  ours = new Authority(folder, 'ours');
  others = new Authority(folder, 'others');
  server = ours.issue('server');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const entry = (index: number, more: object = {}) => ({
  index,
  bytes: Buffer.from(
    JSON.stringify({
      v: 1,
      index,
      id: `ent_${index}`,
      kind: 'request.denied',
      committedAt: '2026-11-29T12:00:00.123Z',
      decision: 'denied',
      name: 'Zoë \u2028',
      ...more,
    }),
  ),
});

async function start(options: { caFile?: string; port?: number } = {}): Promise<SyslogServer> {
  const started = await startSyslogServer(server, options);
  onTestFinished(() => started.close());
  return started;
}

function forwarder(port: number, tls: object = { caFile: ours.caFile }): SyslogForwarder {
  const { syslog } = forwardSchema.parse({
    syslog: [{ id: 'siem', host: '127.0.0.1', port, tls, appName: 'sp' }],
  });
  return new SyslogForwarder(syslog[0] as (typeof syslog)[0], 'broker.example');
}

const send = (
  to: SyslogForwarder,
  entries = [entry(0)],
  signal = AbortSignal.timeout(5_000),
): Promise<ForwardAttempt> => to.forward(entries, Date.now(), signal);

describe.runIf(hasOpenssl)('a syslog server', () => {
  test('gets each entry as it is, framed by its octets, with its place and time', async () => {
    const target = await start();
    const sent = [entry(0), entry(1, { kind: 'order.issued', decision: 'allowed' })];
    expect(await send(forwarder(target.port), sent)).toEqual({ delivered: true });
    expect(target.messages).toEqual([
      `<109>1 2026-11-29T12:00:00.123Z broker.example sp - request.denied [meta sequenceId="1"] ${String(sent[0]?.bytes)}`,
      `<110>1 2026-11-29T12:00:00.123Z broker.example sp - order.issued [meta sequenceId="2"] ${String(sent[1]?.bytes)}`,
    ]);
  });

  test('is told of a denial by the decision of an entry, not by what its data say', async () => {
    const target = await start();
    const read = { kind: 'audit.read', decision: undefined };
    const asked = { ...read, data: { search: 'x', decision: 'denied' } };
    await send(forwarder(target.port), [entry(0, asked), entry(1)]);
    expect(target.messages.map((message) => message.slice(0, 5))).toEqual(['<110>', '<109>']);
  });

  test('is not believed without a certificate, whatever the environment says', async () => {
    const target = await start();
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    onTestFinished(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
    const failed = { delivered: false, failure: 'unreachable' };
    expect(await send(forwarder(target.port, { caFile: others.caFile }))).toEqual(failed);
    expect(target.messages).toEqual([]);
    process.env['FORWARD_TEST_SECRET'] = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const web = createServer(
      { key: readFileSync(server.keyFile), cert: readFileSync(server.certFile) },
      (_req, res) => {
        res.end();
      },
    );
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void web.close());
    const url = `https://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    const posts = new WebhookForwarder({ url, secret: 'env:FORWARD_TEST_SECRET' });
    onTestFinished(() => posts.close());
    expect(await posts.forward([entry(0)], Date.now(), AbortSignal.timeout(5_000))).toMatchObject(
      failed,
    );
  });

  test('is not believed without a certificate of the authority', async () => {
    const target = await start();
    const failed = { delivered: false, failure: 'unreachable' };
    expect(await send(forwarder(target.port, { caFile: others.caFile }))).toEqual(failed);
    expect(await send(forwarder(target.port, {}))).toEqual(failed);
    expect(target.messages).toEqual([]);
  });

  test('can ask for a certificate of ours', async () => {
    const target = await start({ caFile: ours.caFile });
    expect(await send(forwarder(target.port))).toMatchObject({ delivered: false });
    expect(target.messages).toEqual([]);
    const { certFile, keyFile } = ours.issue('client');
    const tls = { caFile: ours.caFile, certFile, keyFile };
    expect(await send(forwarder(target.port, tls))).toEqual({ delivered: true });
    expect(target.messages).toHaveLength(1);
  });

  test('that takes a connection and never reads has nothing, and the attempt ends with its signal', async () => {
    const target = await start();
    target.deaf(true);
    const over = new AbortController();
    const attempt = send(forwarder(target.port), [entry(0)], over.signal);
    await expect.poll(() => target.connections, { timeout: 5_000 }).toBe(1);
    over.abort();
    expect(await attempt).toEqual({ delivered: false, failure: 'unreachable' });
  });

  test('that hangs up in the middle has nothing that counts', async () => {
    const target = await start();
    target.hangUpAfter(2_000);
    const many = Array.from({ length: 4_000 }, (_, i) => entry(i));
    expect(await send(forwarder(target.port), many)).toEqual({
      delivered: false,
      failure: 'unreachable',
    });
    expect(await send(forwarder(target.port), many)).toEqual({ delivered: true });
    expect(target.messages).toHaveLength(4_000);
  });

  test('that is not there is unreachable', async () => {
    const target = await startSyslogServer(server);
    await target.close();
    expect(await send(forwarder(target.port))).toEqual({
      delivered: false,
      failure: 'unreachable',
    });
  });
});
