/** `sallyport audit entries`, `tail` and `forwarding` against a real broker. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { EntryDraft } from '../../src/core/audit/entry.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { mintId } from '../../src/lib/ids.ts';
import { startReceiver, type Receiver } from '../support/notices.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import { SENTENCE, newCli, type Cli } from './run-cli.ts';

let test: TestBroker;
let people: People;
let receiver: Receiver;
let stop = (): void => undefined;
let printed = '';
const cli = newCli();
/** The same, whose output and interruption the test sees. */
const live: Cli = newCli({
  out: (text) => (printed += text),
  onSignal: (signal, listener) => {
    if (signal === 'SIGINT') stop = listener;
    return () => undefined;
  },
});

beforeAll(async () => {
  process.env['CLI_FORWARD_SECRET'] = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  receiver = await startReceiver();
  test = await startTestBroker({
    forward: {
      allowInsecureLoopback: true,
      webhooks: [{ id: 'siem', url: receiver.url, secret: 'env:CLI_FORWARD_SECRET' }],
    },
  });
  people = await makePeople(test);
  for (const name of ['admin', 'lead', 'auditor'] as const) {
    const key = join(cli.folder, `${name}.pem`);
    saveKeyFile(key, people[name].privateKey);
    const { url } = test;
    for (const { env } of [cli, live])
      saveProfile(env, name, { url, issuer: url, person: people[name].id, key });
  }
});
afterAll(async () => {
  await test?.close();
  await receiver?.close();
  cli.remove();
  live.remove();
  delete process.env['CLI_FORWARD_SECRET'];
});

async function record(draft: Partial<EntryDraft> = {}): Promise<number> {
  const at = test.broker.clock();
  const entry = { kind: 'token.denied', at, actor: { system: 'broker' }, ...draft } as const;
  const written = await test.broker.store.write('recordEntry', {
    entry: { ...entry, id: mintId('ent', at) },
  });
  return written.index;
}

const as = async (who: string, ...args: string[]): Promise<string> => {
  const { code, out, err } = await cli.run('audit', ...args, '--profile', who);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out;
};

interface Items {
  items: { index: number; entry: { kind: string } }[];
  next: string | null;
}

const found = async (...args: string[]): Promise<Items> =>
  JSON.parse(await as('auditor', 'entries', '--json', ...args)) as Items;

const indexes = ({ items }: Items): number[] => items.map(({ index }) => index);

describe('audit entries', () => {
  it('finds by several things together, in either order, since some time ago', async () => {
    const run = `run_${'0'.repeat(26)}`;
    const first = await record({ run, decision: 'denied', reason: 'grant_suspended' });
    const second = await record({ run, decision: 'denied', purpose: 'bias' });
    await record({ decision: 'denied' });
    expect(indexes(await found('--run', run))).toEqual([first, second]);
    expect(indexes(await found('--run', run, '--newest'))).toEqual([second, first]);
    expect(indexes(await found('--run', run, '--purpose', 'bias', '--since', '1h'))).toEqual([
      second,
    ]);
    expect(indexes(await found('--run', run, '--until', '2h'))).toEqual([]);
    expect(
      indexes(
        await found('--reason', 'grant_suspended', '--kind', 'token.denied', '--kind', 'run.ended'),
      ),
    ).toEqual([first]);
    expect(indexes(await found('--id', people.lead.id, '--kind', 'person.created'))).toHaveLength(
      1,
    );
    const table = await as('auditor', 'entries', '--run', run);
    expect(table).toMatch(/^INDEX +AT +KIND/);
    expect(table).toContain('denied grant_suspended');
  });

  it('goes through all pages, and what it prints is one document', async () => {
    for (let i = 0; i < 450; i += 1) await record({ endpoint: 'paged' });
    const all = await found('--endpoint', 'paged', '--all');
    expect(all.items).toHaveLength(450);
    expect(all.next).toBeNull();
    expect(indexes(all)).toEqual(indexes(all).toSorted((one, other) => one - other));
    expect(
      (await as('auditor', 'entries', '--endpoint', 'paged', '--all')).trim().split('\n'),
    ).toHaveLength(1 + 450);
    expect(await found('--endpoint', 'nowhere', '--all')).toEqual({ items: [], next: null });
  });

  it('shows a partner nothing of others', async () => {
    const list = JSON.parse(await as('lead', 'entries', '--all', '--json')) as Items;
    expect(list.items.length).toBeGreaterThan(0);
    expect(list.items.every(({ entry }) => JSON.stringify(entry).includes(people.partner.id))).toBe(
      true,
    );
  });

  it.each([
    [['--since', 'yesterday'], 'a moment such as'],
    [['--purpose', 'fun'], 'hallucination'],
    [['--run', 'mine'], 'must be the id of a run'],
  ])('says what is wrong with %j before it asks', async (args, says) => {
    const { code, err } = await cli.run('audit', 'entries', ...args, '--profile', 'auditor');
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
    expect(err).toMatch(SENTENCE);
  });
});

describe('audit tail', () => {
  it('shows the last ones, in the order of the log', async () => {
    const last = [await record({ endpoint: 'tail' }), await record({ endpoint: 'tail' })];
    const lines = (await as('auditor', 'tail', '--lines', '2', '--endpoint', 'tail', '--json'))
      .trim()
      .split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual(last);
    expect(await as('auditor', 'tail', '-n', '1', '--endpoint', 'tail')).toMatch(
      new RegExp(`^${last[1]}  \\S+Z  token\\.denied  \\(broker\\)  -  -\\n$`),
    );
  });

  it('goes on with what comes, until it is interrupted', async () => {
    const before = await record({ endpoint: 'live' });
    printed = '';
    const ended = live.run(
      'audit',
      'tail',
      '-f',
      '-n',
      '5',
      '--endpoint',
      'live',
      '--json',
      '--profile',
      'auditor',
    );
    const seen = (): number[] =>
      printed
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { index: number }).index);
    await expect.poll(seen, { timeout: 5_000 }).toEqual([before]);
    await expect.poll(() => test.broker.followers.count, { timeout: 5_000 }).toBe(1);
    const next = [await record({ endpoint: 'live' }), await record({ endpoint: 'live' })];
    await expect.poll(seen, { timeout: 5_000 }).toEqual([before, ...next]);
    stop();
    expect((await ended).code).toBe(0);
  });
});

describe('audit tail against a connection that breaks', () => {
  it('goes on behind what it has shown, whyever it was cut off', async () => {
    const broker = await startFakeBroker();
    onTestFinished(() => broker.close());
    const heard: (string | undefined)[] = [];
    const entry = (index: number): string =>
      `id: ${index}\ndata: ${JSON.stringify({ index, entry: { id: 'e', kind: 'a.b', at: '2026-11-29T12:00:00Z', actor: { system: 'broker' } } })}\n\n`;
    broker.on('/api/v1/log/tail', (req, res) => {
      heard.push(req.headers['last-event-id'] as string | undefined);
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (heard.length === 1) res.end(`${entry(5)}event: end\ndata: {"why":"token_expired"}\n\n`);
      // Cut off in the middle of an event, which then has not been heard.
      else if (heard.length === 2)
        res.write(`${entry(6)}${entry(7).slice(0, -20)}`, () =>
          setTimeout(() => res.destroy(), 50),
        );
      else if (heard.length === 3)
        res.write(`${entry(7)}id: 40\n\n`, () => setTimeout(() => res.destroy(), 50));
      else res.end('event: end\ndata: {"why":"person_removed"}\n\n');
    });
    const key = join(cli.folder, 'auditor.pem');
    const options = ['--url', broker.url, '--person', people.auditor.id, '--key', key];
    const { code, out, err } = await cli.run(
      'audit',
      'tail',
      '-f',
      '-n',
      '0',
      '--json',
      ...options,
    );
    const indexesSeen = out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { index: number }).index);
    expect(indexesSeen).toEqual([5, 6, 7]);
    expect(heard).toEqual([undefined, '5', '6', '40']);
    expect([code, err]).toEqual([1, expect.stringContaining('person_removed')]);
  }, 20_000);
});

describe('audit forwarding', () => {
  it('shows how far each receiver has come', async () => {
    await expect
      .poll(() => test.broker.forwarding.shown()[0]?.deliveredAt, { timeout: 10_000 })
      .not.toBeNull();
    expect(await as('admin', 'forwarding')).toMatch(/^siem +webhook +(current|behind) +\d+ /m);
    const refused = await cli.run('audit', 'forwarding', '--profile', 'lead');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('role_required')]);
  });
});
