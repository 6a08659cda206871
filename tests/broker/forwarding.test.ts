/** The log is forwarded whole and in order, whatever becomes of receivers, the broker and the connection between them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { TestBrokerOptions } from '../support/test-broker.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { answerWith, startReceiver, type Receiver } from '../support/notices.ts';
import { makePeople } from '../support/people.ts';
import { Scrape } from '../support/prometheus.ts';
import { startSyslogServer } from '../support/syslog-server.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const KEY = Buffer.alloc(32, 7);
const SECRET = `whsec_${KEY.toString('base64')}`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-forward-'));
  process.env['FORWARD_SECRET'] = SECRET;
});
afterAll(() => {
  delete process.env['FORWARD_SECRET'];
  rmSync(folder, { recursive: true, force: true });
});

function newDataDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sallyport-forwarded-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const to = (url: string, more: object = {}): NonNullable<TestBrokerOptions['forward']> => ({
  allowInsecureLoopback: true,
  webhooks: [{ id: 'siem', url, secret: 'env:FORWARD_SECRET', ...more }],
});

async function record(own: TestBroker, many: number, kind = 'token.denied'): Promise<void> {
  const { store, clock } = own.broker;
  const at = clock();
  for (let left = many; left > 0; left -= 500)
    await Promise.all(
      Array.from({ length: Math.min(left, 500) }, () =>
        store.write('recordEntry', {
          entry: {
            id: mintId('ent', at),
            kind: kind as 'token.denied',
            at,
            actor: { system: 'broker' },
          },
        }),
      ),
    );
  await store.caughtUp();
}

interface Line {
  index: number;
  kind: string;
}

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

/** Everything that a receiver accepted, in the order in which it came. */
const got = ({ received }: Receiver): Line[] => received.flatMap(({ body }) => linesOf(body));

const upTo = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
const indexes = (lines: Line[]): number[] => lines.map(({ index }) => index);

async function receiver(port?: number): Promise<Receiver> {
  const started = await startReceiver(port);
  onTestFinished(() => started.close().catch(() => undefined));
  return started;
}

async function untilCurrent({ broker }: TestBroker): Promise<void> {
  await expect
    .poll(() => broker.forwarding.shown().map(({ state }) => state), { timeout: 20_000 })
    .toEqual(['current']);
}

describe('a webhook', () => {
  test('gets the exact entries as signed batches of JSON lines, from the first one on', async () => {
    const siem = await receiver();
    const own = await startTestBroker({ forward: to(siem.url) });
    onTestFinished(() => own.close());
    await record(own, 1_200);
    await untilCurrent(own);
    const size = own.broker.readers.logSize();
    expect(indexes(got(siem))).toEqual(upTo(size));
    const bodies = siem.received.map(({ body }) => body).join('');
    const stored = own.broker.readers.listEntries({ from: 0, limit: size });
    expect(bodies).toBe(stored.map(({ bytes }) => `${String(bytes)}\n`).join(''));
    for (const { headers, body } of siem.received) {
      const id = headers['webhook-id'] ?? '';
      const lines = linesOf(body);
      const digest = createHash('sha256').update(body).digest('hex').slice(0, 32);
      expect(id).toBe(`log_${lines[0]?.index}_${lines.at(-1)?.index}_${digest}`);
      expect(headers['content-type']).toBe('application/jsonl');
      const signed = `${id}.${headers['webhook-timestamp']}.${body}`;
      const mac = createHmac('sha256', KEY).update(signed).digest('base64');
      expect(headers['webhook-signature']).toBe(`v1,${mac}`);
    }
  });

  test('gets only the kinds that it asks for, and is current all the same', async () => {
    const siem = await receiver();
    const kinds = ['notice.undelivered', 'system.*'];
    const own = await startTestBroker({ forward: to(siem.url, { kinds }) });
    onTestFinished(() => own.close());
    await record(own, 3_000);
    await record(own, 2, 'notice.undelivered');
    await untilCurrent(own);
    expect(got(siem).map(({ kind }) => kind)).toEqual([
      'system.started',
      'notice.undelivered',
      'notice.undelivered',
    ]);
  });

  test('that is new and wants no past begins with the next entry', async () => {
    const dataDir = newDataDirectory();
    const first = await startTestBroker({ dataDir });
    await record(first, 30);
    await first.close();
    const siem = await receiver();
    const own = await startTestBroker({ dataDir, forward: to(siem.url, { from: 'now' }) });
    onTestFinished(() => own.close());
    await untilCurrent(own);
    const [begun] = got(siem);
    expect(begun?.kind).toBe('system.started');
    expect(begun?.index).toBeGreaterThan(30);
  });

  test('that wants no past keeps what came between its first start and a crash', async () => {
    const siem = await receiver();
    const own = await startTestBroker({ forward: to(siem.url, { from: 'now' }) });
    onTestFinished(() => own.close());
    // As soon as the broker runs: a process that is killed now has noted nothing else.
    const noted = own.broker.readers.forwardCursors().get('siem');
    expect(noted).toBeTypeOf('number');
    expect(noted).toBeLessThanOrEqual(own.broker.readers.logSize());
  });

  test('of two brokers never gets two batches under one id', async () => {
    const siem = await receiver();
    for (const origin of ['one.example/log', 'other.example/log']) {
      const own = await startTestBroker({ origin, forward: to(siem.url) });
      onTestFinished(() => own.close());
      await untilCurrent(own);
    }
    const ids = siem.received.map(({ headers }) => headers['webhook-id']);
    expect(ids.length).toBeGreaterThan(1);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('that was down gets what it missed when it is up, and the broker started again meanwhile', async () => {
    const dataDir = newDataDirectory();
    const siem = await receiver();
    const port = Number(new URL(siem.url).port);
    const first = await startTestBroker({ dataDir, forward: to(siem.url) });
    await untilCurrent(first);
    const before = indexes(got(siem));
    await siem.close();
    await record(first, 700);
    await expect
      .poll(() => first.broker.forwarding.shown()[0]?.failure?.code, { timeout: 10_000 })
      .toBe('unreachable');
    await first.close();
    const up = await receiver(port);
    const second = await startTestBroker({ dataDir, forward: to(siem.url) });
    onTestFinished(() => second.close());
    await untilCurrent(second);
    const all = new Set([...before, ...indexes(got(up))]);
    expect([...all].toSorted((one, other) => one - other)).toEqual(
      upTo(second.broker.readers.logSize()),
    );
    // Where it stood was noted: it does not all come again.
    expect(Math.min(...indexes(got(up)))).toBeGreaterThan(0);
  });

  test('that refuses is given the same batch again, under the same id', async () => {
    const siem = await receiver();
    siem.respond(answerWith(503));
    const own = await startTestBroker({ forward: to(siem.url) });
    onTestFinished(() => own.close());
    await siem.count(2);
    await record(own, 20);
    siem.respond(answerWith(204));
    await untilCurrent(own);
    const [first, second, third] = siem.received;
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect([second?.body, third?.body]).toEqual([first?.body, first?.body]);
    const size = own.broker.readers.logSize();
    expect([...new Set(indexes(got(siem)))]).toEqual(upTo(size));
  });

  test('that has much to catch up with gets no more in a second than it may', async () => {
    const siem = await receiver();
    siem.respond(answerWith(503));
    const own = await startTestBroker({ forward: to(siem.url, { mostPerSecond: 1_000 }) });
    onTestFinished(() => own.close());
    await record(own, 2_000);
    siem.respond(answerWith(204));
    const times: number[] = [];
    siem.respond((_req, res) => {
      times.push(performance.now());
      res.writeHead(204).end();
    });
    await untilCurrent(own);
    expect(times.length).toBeGreaterThanOrEqual(4);
    // 500 entries of a batch, half a second each.
    expect((times[3] as number) - (times[0] as number)).toBeGreaterThan(1_000);
  });
});

test('a file and a syslog server get the same', async (context) => {
  if (!hasOpenssl) return context.skip();
  const authority = new Authority(folder, 'ca');
  const server = await startSyslogServer(authority.issue('syslog'));
  onTestFinished(() => server.close());
  const path = join(folder, 'out.jsonl');
  const tls = { caFile: authority.caFile };
  const own = await startTestBroker({
    forward: {
      files: [{ id: 'file', path }],
      syslog: [{ id: 'syslog', host: '127.0.0.1', port: server.port, tls }],
    },
  });
  onTestFinished(() => own.close());
  await record(own, 900);
  await expect
    .poll(() => own.broker.forwarding.shown().map(({ state }) => state), { timeout: 20_000 })
    .toEqual(['current', 'current']);
  const size = own.broker.readers.logSize();
  expect(indexes(linesOf(readFileSync(path, 'utf8')))).toEqual(upTo(size));
  const messages = server.messages.map((text) => text.slice(text.indexOf('{')));
  expect(messages).toEqual(readFileSync(path, 'utf8').trimEnd().split('\n'));
});

test('a file that cannot be written is said to be so, and nothing is lost', async () => {
  const path = join(folder, 'not-there', 'out.jsonl');
  const own = await startTestBroker({ forward: { files: [{ id: 'file', path }] } });
  onTestFinished(() => own.close());
  await expect
    .poll(() => own.broker.forwarding.shown()[0], { timeout: 10_000 })
    .toMatchObject({ state: 'failing', next: 0, failure: { code: 'unwritable' } });
});

test('who runs the host and who audits sees how far each has come; no address is shown to anybody', async () => {
  const siem = await receiver();
  siem.respond(answerWith(500));
  const own = await startTestBroker({ forward: to(siem.url), metrics: { port: 0 } });
  onTestFinished(() => own.close());
  const people = await makePeople(own);
  const api = new Api(own);
  await siem.count(1);
  await expect
    .poll(() => own.broker.forwarding.shown()[0]?.state, { timeout: 10_000 })
    .toBe('failing');
  for (const who of [people.admin, people.safety, people.auditor, people.outsideAuditor]) {
    const { status, body, text } = await api.get(who, '/log/forwarding');
    expect([who.name, status]).toEqual([who.name, 200]);
    expect(body.items).toMatchObject([
      {
        id: 'siem',
        type: 'webhook',
        kinds: null,
        state: 'failing',
        next: 0,
        failure: { code: 'refused', status: 500 },
      },
    ]);
    expect(body.items[0].lag).toBeGreaterThan(5);
    for (const secret of [siem.url, '127.0.0.1', KEY.toString('base64')])
      expect(text).not.toContain(secret);
  }
  for (const who of [people.lead, people.researcher])
    expect((await api.get(who, '/log/forwarding')).body.code).toBe('role_required');
  const scrape = new Scrape(await (await fetch(`${own.metricsUrl}/metrics`)).text());
  const values = Object.fromEntries(
    ['forward_failing', 'forward_lag_entries', 'forward_attempts_total'].map((name) => [
      name,
      scrape.families
        .get(`sallyport_${name}`)
        ?.samples.find(({ labels }) => labels['receiver'] === 'siem')?.value,
    ]),
  );
  expect(values).toMatchObject({ forward_failing: 1 });
  expect(values['forward_lag_entries']).toBeGreaterThan(5);
  expect(values['forward_attempts_total']).toBeGreaterThan(0);
});
