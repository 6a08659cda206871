/** A log is archived and pruned with the command line, on a real broker: who may, what stays provable, and what says so. */
import { createHmac } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { EntryDraft } from '../../src/core/audit/entry.ts';
import { TILE_WIDTH, tilePath, tileWidth, tilesOf } from '../../src/core/tlog/tiles.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { exported } from '../support/exports.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { newCli } from './run-cli.ts';

const DAY = 86_400_000;
const NAMES = ['admin', 'secondAdmin', 'auditor', 'outsideAuditor', 'lead', 'researcher'] as const;

let test: TestBroker;
let people: People;
let days = 0;
const clock = (): number => systemClock() + days * DAY;
const cli = newCli({ clock });
const dir = mkdtempSync(join(tmpdir(), 'sallyport-retention-'));
const file = (name: string): string => join(dir, name);

const start = (): Promise<TestBroker> =>
  startTestBroker({
    clock,
    dataDir: file('data'),
    retention: { archiveAfterDays: 30, noticeDays: 14 },
  });

function logIn(): void {
  for (const name of NAMES) {
    const key = join(cli.folder, `${name}.pem`);
    if (days === 0) saveKeyFile(key, people[name].privateKey);
    const { url } = test;
    saveProfile(cli.env, name, { url, issuer: url, person: people[name].id, key });
  }
}

beforeAll(async () => {
  test = await start();
  people = await makePeople(test);
  logIn();
  const { id: person } = people.researcher;
  const { id: lab } = people.partner;
  const at = clock();
  const write = (n: number): Promise<unknown> => {
    const kind = n % 2 === 0 ? 'request.intent' : 'request.outcome';
    const ref = `req_${String(n - (n % 2)).padStart(26, '0')}`;
    const entry: EntryDraft = {
      id: mintId('ent', at),
      kind,
      at,
      actor: { person, lab, roles: ['researcher'] },
      ref,
      lab,
      person,
      data: n % 2 === 0 ? {} : { usage: { inputTokens: 1, outputTokens: 2 } },
    };
    return test.broker.store.write('recordEntry', { entry }, { deadlineMs: 10_000 });
  };
  const { id: lead } = people.lead;
  const together: EntryDraft = {
    id: mintId('ent', at),
    kind: 'request.denied_repeatedly',
    at,
    actor: { system: 'broker' },
    lab,
    person: lead,
    data: { counts: { rate_limited: 7 } },
  };
  await test.broker.store.write('recordEntry', { entry: together }, { deadlineMs: 10_000 });
  await Promise.all(Array.from({ length: 1_200 }, (_, n) => write(n)));
  await test.broker.store.write('publishCheckpoint', { at });
});
afterAll(async () => {
  await test?.close();
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const as = (who: (typeof NAMES)[number], ...args: string[]) =>
  cli.run('audit', ...args, '--profile', who);

async function told(who: (typeof NAMES)[number], ...args: string[]): Promise<string> {
  const { code, out, err } = await as(who, ...args);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out + err;
}

const json = async <T>(who: (typeof NAMES)[number], ...args: string[]): Promise<T> =>
  cli.json<T>('audit', ...args, '--profile', who);

/** Offline, or of a broker as the auditor. */
const verify = (...args: string[]) =>
  cli.run('audit', 'verify', ...args, '--key', test.broker.store.verifierKey);

interface Statements {
  items: { person: string; requests: number; outcomes: number; digest: string }[];
}

const statementOf = async (): Promise<object | undefined> => {
  const { items } = await json<Statements>('lead', 'statement', '--of', people.researcher.id);
  return items[0];
};

const proofOf = async (index: number): Promise<string> => {
  const token = await new Api(test).tokenOf(people.researcher);
  const answer = await fetch(`${test.url}/api/v1/log/entries/${index}/proof`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return answer.text();
};

const archived = file('archive.tar');
const receipts = file('receipts');
let exportId = '';
let statement: object | undefined;

describe('before anything is pruned', () => {
  it('says what retention allows, and archives nothing that is too new', async () => {
    expect(await told('auditor', 'retention')).toContain('No entries may be archived now.');
    const refused = await as('auditor', 'archive', '--out', archived);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('There is nothing to archive');
    expect(await told('researcher', 'archives')).toContain('Nothing was pruned');
    expect((await as('lead', 'retention')).err).toContain('role');
    statement = await statementOf();
    expect(statement).toMatchObject({ requests: 600, outcomes: 600 });
    expect((await verify(test.url, '--profile', 'auditor')).out).toContain('SOUND: all');
    const key = ['--log-key', test.broker.store.verifierKey];
    const since = ['--since', '2000-01-01'];
    await told('researcher', 'receipts', ...since, '--dir', receipts, ...key);
    expect(readdirSync(receipts)).toHaveLength(600);
  });

  it('is archived by an auditor, and by nobody else', async () => {
    days = 31;
    expect((await as('admin', 'archive', '--out', archived)).err).toContain('role');
    expect((await as('lead', 'archive', '--out', archived)).err).toContain('role');
    const made = await json<{ export: string; first: number }>(
      'outsideAuditor',
      'archive',
      '--before',
      '768',
      '--out',
      archived,
    );
    exportId = made.export;
    expect(made.first).toBe(0);
    const notices = await cli.run('notice', 'list', '--profile', 'lead', '--json');
    expect(notices.out).toContain('The entries 0 to 767 of the log');
  });

  it('has an archive that is checked by itself, and is no whole log', async () => {
    const alone = await verify('--archive', archived);
    expect([alone.code, alone.err]).toEqual([0, '']);
    expect(alone.out).toContain(`entries 0 to 767 in the archive ${archived}`);
    expect(alone.out).toContain('Of the others, the archives say nothing.');
    const whole = await verify(archived);
    expect(whole.code).toBe(2);
    expect(whole.out).toContain('it is an archive');
    expect((await verify()).code).toBe(3);
  });
});

describe('pruning', () => {
  const prune = (who: (typeof NAMES)[number], ...more: string[]) =>
    as(who, 'prune', '--export', exportId, ...more);

  it('waits for the end of the notice', async () => {
    const early = await prune('secondAdmin', '--archive', archived, '--yes');
    expect(early.err).toContain('Everybody concerned was told of the archive');
    days = 46;
  });

  /** Over the API: what the log says of an archive is of no use without its bytes, nor is a proof of another time. */
  async function mustHaveTheBytes(): Promise<void> {
    let api = new Api(test);
    const read = await api.get(people.outsideAuditor, `/exports/${exportId}`);
    const { completed } = read.body as unknown as {
      completed: { sha256: string; entries: number };
    };
    expect(completed.entries).toBe(768);
    const post = (path: string, body: object, who = people.secondAdmin) =>
      api.post(who, path, body);
    const challenged = await post('/log/prunings/challenges', { export: exportId });
    const challenge = (challenged.body as unknown as { challenge: string }).challenge;
    const proofOver = (bytes: string | Buffer, key = challenge): string =>
      createHmac('sha256', key).update(bytes).digest('hex');
    const prunings = async (proof: string, key = challenge): Promise<string> => {
      const body = { export: exportId, challenge: key, proof, dryRun: true };
      const { status, body: answer } = await post('/log/prunings', body);
      return `${status} ${JSON.stringify(answer)}`;
    };
    const whole = readFileSync(archived);
    for (const wrong of [
      completed.sha256,
      proofOver(completed.sha256),
      proofOver(whole.subarray(-1)),
    ])
      expect(await prunings(wrong)).toContain('it is another file, or was changed');
    const own = `${challenge.slice(0, -1)}${challenge.endsWith('A') ? 'B' : 'A'}`;
    expect(await prunings(proofOver(whole, own), own)).toContain('The challenge is over');
    expect(await prunings(proofOver(whole))).toContain('"pruned":false');
    days += 1;
    api = new Api(test);
    expect(await prunings(proofOver(whole))).toContain('The challenge is over');
  }

  it('is for an admin who has the archive, and agrees', async () => {
    for (const who of ['auditor', 'outsideAuditor', 'lead', 'researcher'] as const)
      expect((await prune(who, '--archive', archived, '--yes')).err).toContain('role');
    const other = file('other.tar');
    writeFileSync(other, 'another file');
    expect((await prune('secondAdmin', '--archive', other, '--yes')).err).toContain(
      'is another file',
    );
    expect((await prune('secondAdmin', '--yes')).err).toContain("'--archive <file>' not specified");
    // Who registered the auditor could have made the archive themselves.
    expect((await prune('admin', '--archive', archived, '--yes')).err).toContain(
      'may be one person',
    );
    expect((await prune('secondAdmin', '--archive', archived)).err).toContain('Add --yes');
    await mustHaveTheBytes();
    const dry = await prune('secondAdmin', '--archive', archived, '--dry-run');
    expect(dry.out).toContain('Would prune the 768 entries 0 to 767.');
    expect(test.broker.readers.minimumIndex()).toBe(0);
    const done = await prune('secondAdmin', '--archive', archived, '--yes');
    expect([done.code, done.out]).toEqual([
      0,
      'Pruned the 768 entries 0 to 767. The log begins at entry 768.\n',
    ]);
    const again = await prune('secondAdmin', '--archive', archived, '--yes');
    expect(again.err).toContain('begins at entry 0, and the log at entry 768');
  });

  it('takes the entries away, also when the broker was stopped meanwhile', async () => {
    await test.close();
    test = await start();
    logIn();
    await vi.waitFor(() => expect(test.broker.readers.arePrunedLeft()).toBe(false), 10_000);
    expect(await told('auditor', 'archives')).toContain('The log begins at entry 768 here.');
    expect(await told('researcher', 'archives')).toContain(exportId);
  });
});

describe('a log that was pruned', () => {
  const bundle = file('evidence.tar');

  it('is sound as a running broker, and continues what was seen before', async () => {
    const { code, out } = await verify(test.url, '--profile', 'auditor');
    expect(code).toBe(0);
    expect(out).toMatch(/continues the checkpoint of \d+ entries that was seen before/);
    expect(out).toMatch(/entries 0 to 767 were archived on [-\d]+ \(archive sha256 [\da-f]{64}\)/);
    expect(out).toMatch(/SOUND: the [\d,]+ entries .*all from 768 on; not the archived/);
    const both = await verify(test.url, '--profile', 'auditor', '--archive', archived);
    expect(both.out).toContain('with the digest that the log has on record');
    expect(both.out).toContain('all from 768 on, and those in the archives.');
    expect(both.code).toBe(0);
  });

  it('is sound as a bundle, alone and with its archive', async () => {
    expect(await told('auditor', 'export', '--out', bundle)).toContain(
      'The log begins at entry 768 here',
    );
    const alone = await verify(bundle);
    expect([alone.code, alone.err]).toEqual([0, '']);
    expect(alone.out).toContain('not the archived entries 0 to 767');
    expect(alone.out).toContain('by the word of the host, and are not checked here');
    const strict = await verify(bundle, '--all-entries');
    expect(strict.code).toBe(2);
    expect(strict.out).toContain('The entries 0 to 767 were archived, and are in no archive');
    expect((await verify(bundle, '--all-entries', '--archive', archived)).code).toBe(0);
    const both = await verify(bundle, '--archive', archived);
    expect(both.code).toBe(0);
    expect(both.out).not.toContain('not checked');
    const damaged = file('damaged.tar');
    const bytes = readFileSync(archived);
    bytes.writeUInt8(bytes.readUInt8(60_000) ^ 1, 60_000);
    writeFileSync(damaged, bytes);
    const bad = await verify(bundle, '--archive', damaged);
    expect(bad.code).toBe(1);
    expect(bad.out).toContain(`The archive ${damaged}`);
  });

  it('is sound as a mirror, and incomplete where more is missing than was pruned', async () => {
    const mirror = file('mirror');
    const base = `${test.url}/api/v1/log`;
    const token = await new Api(test).tokenOf(people.auditor);
    const note = await (await fetch(`${base}/checkpoint`)).text();
    const size = Number(note.split('\n')[1]);
    const paths = ['checkpoint', ...[...tilesOf(size)].map(({ path }) => path)];
    for (let n = 0; n * TILE_WIDTH < size; n += 1)
      paths.push(tilePath({ level: 'entries', n, width: tileWidth(size, 0, n) }));
    const gone: string[] = [];
    const why = new Set<boolean>();
    for (const path of paths) {
      const answer = await fetch(`${base}/${path}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (answer.status === 410) {
        gone.push(path);
        why.add(bytes.toString().includes(exportId));
        continue;
      }
      expect([path, answer.status]).toEqual([path, 200]);
      mkdirSync(dirname(join(mirror, path)), { recursive: true });
      writeFileSync(join(mirror, path), bytes);
    }
    expect(gone).toEqual(['tile/entries/000', 'tile/entries/001', 'tile/entries/002']);
    expect([...why]).toEqual([true]);
    expect((await verify(mirror)).code).toBe(0);
    rmSync(join(mirror, 'tile/entries/003'));
    const short = await verify(mirror);
    expect(short.code).toBe(2);
    expect(short.out).toContain('tile/entries/003 is missing. No entry says that it was archived.');
    expect(short.out).toContain('The first bad index is 768.');
  });

  it('is replayed from the bundle and the archive, and not from one of them', async () => {
    const key = ['--key', test.broker.store.verifierKey];
    const alone = await cli.run('audit', 'replay', bundle, ...key);
    expect(alone.code).toBe(3);
    expect(alone.err).toContain('hand in the archive that has the entries 0 to 767');
    const both = await cli.run('audit', 'replay', bundle, '--archive', archived, ...key);
    expect([both.code, both.err]).toEqual([0, '']);
    expect(both.out).toContain(people.researcher.id);
  });

  it('still gives the partner its statement, and the proof of each entry', async () => {
    expect(await statementOf()).toEqual(statement);
    expect(await told('lead', 'statement')).toContain('Entries below 768 are in archives');
    expect(await proofOf(3)).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex 3\n/);
  });

  it('counts exactly the calls of which the partner keeps receipts, as before', async () => {
    const key = ['--log-key', test.broker.store.verifierKey];
    const held = await as('researcher', 'statement', '--receipts', receipts, ...key);
    expect([held.code, held.out]).toEqual([0, expect.stringContaining('SOUND: 600 receipts')]);
  });

  it('is not believed that entries without a receipt are in an archive', async () => {
    const key = ['--log-key', test.broker.store.verifierKey];
    const held = await as('lead', 'statement', '--of', people.lead.id, '--receipts', dir, ...key);
    expect([held.code, held.out]).toEqual([
      2,
      expect.stringContaining('NOT SHOWN  1 entry of refusals that were recorded together: by the'),
    ]);
    expect(held.out).toContain('NO RECEIPT   (request.denied_repeatedly at ');
  });

  it('says so wherever what was pruned is asked for', async () => {
    expect((await as('auditor', 'show', '3')).err).toContain(
      `the entries 0 to 767 are in the archive ${exportId} (SHA-256`,
    );
    expect((await as('auditor', 'show', '3')).err).toContain(
      `which ${people.outsideAuditor.id} made`,
    );
    const { out } = await cli.run('notice', 'list', '--profile', 'lead', '--json');
    expect(out).toContain(`${people.outsideAuditor.id} of Audit House made`);
    expect(await told('auditor', 'entries', '--limit', '5')).toContain(
      'Entries below 768 were not looked at',
    );
    const first = await told('auditor', 'entries', '--from', '768', '--limit', '5');
    expect(first).not.toContain('were not looked at');
    const api = new Api(test);
    const tail = await api.get(people.auditor, '/log/tail?from=3&seconds=1');
    expect([tail.status, tail.body.code]).toEqual([410, 'entry_archived']);
    const receipt = await api.get(people.auditor, '/log/receipts/3');
    expect([receipt.status, receipt.body.code]).toEqual([410, 'entry_archived']);
    const lines = await exported(test, api, people.auditor, { format: 'jsonl', from: 0 });
    expect(lines.status).toBe(410);
    const rest = await exported(test, api, people.auditor, { format: 'jsonl' });
    expect(rest.headers.get('x-sallyport-from')).toBe('768');
    expect(JSON.parse(rest.bytes.toString().split('\n')[1] ?? '') as object).toMatchObject({
      index: 768,
    });
  });

  it('is said in a report on an incident that has to do with what was pruned', async () => {
    const api = new Api(test);
    const opened = await api.post(people.safety, '/incidents', {
      title: 'Of long ago',
      harms: ['other_serious_harm'],
      entries: [800],
    });
    expect(opened.status).toBe(201);
    const { id } = opened.body as unknown as { id: string };
    const report = async (): Promise<string> => {
      const token = await api.tokenOf(people.auditor);
      const answer = await fetch(`${test.url}/api/v1/incidents/${id}/export`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return answer.text();
    };
    expect(await report()).not.toContain('Entries below 768 were archived');
    const linked = await api.post(people.safety, `/incidents/${id}/links`, { entry: 3 });
    expect(linked.status).toBe(200);
    expect(await report()).toContain('Entries below 768 were archived');
  });
});
