/** Receipts kept by connect or fetched afterwards, checked offline, and held against the statement of the log. */
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { profilesPath, saveProfile } from '../../src/cli/profiles.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import type { TestPerson } from '../support/people.ts';
import {
  HELLO,
  drain,
  errorOf,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson, openaiStream } from '../support/scripted-upstream.ts';
import { rotateLogKey } from '../../src/broker/rotate-log-key.ts';
import { SampleLog } from '../support/witnesses.ts';
import { startConnect } from './connect-run.ts';
import { newCli } from './run-cli.ts';

const cli = newCli();
const kept = join(cli.folder, 'kept');
let running: RunningBroker;
let grant: Grant;
let logKey: string;

function login(who: TestPerson, profile: string): void {
  const key = join(cli.folder, `${profile}.pem`);
  const pem = who.privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(key, pem, { mode: 0o600 });
  const { url, test } = running;
  saveProfile(cli.env, profile, { url, issuer: test.broker.issuer, person: who.id, key });
}

beforeAll(async () => {
  running = await startRunningBroker();
  grant = await running.grant({ binding: 'dpop' });
  logKey = running.test.broker.store.verifierKey;
  login(running.people.researcher, 'researcher');
  login(running.people.lead, 'lead');
  login(running.people.otherLead, 'other');
});
afterAll(async () => {
  await running.close();
  cli.remove();
});

const statement = (profile: string, ...args: string[]) =>
  cli.run('audit', 'statement', '--profile', profile, ...args);
const held = (profile: string, directory: string, ...args: string[]) =>
  statement(profile, '--receipts', directory, '--log-key', logKey, ...args);

describe('connect --receipts', () => {
  it('keeps the receipt of each call, whatever came of it, for its owner alone', async () => {
    const run = await startConnect(running, grant, 'kept', { options: ['--receipts', kept] });
    running.upstream.respond(openaiJson());
    await run.openai.chat.completions.create(HELLO);
    running.upstream.respond(openaiStream());
    await drain(await run.openai.chat.completions.create({ ...HELLO, stream: true }));
    await errorOf(run.openai.chat.completions.create({ ...HELLO, model: 'no-such-model' }));
    await run.openai.models.list();
    expect(await run.stop()).toBe(0);
    expect(run.err()).toContain(`4 receipts kept in ${kept}.`);
    const files = readdirSync(kept);
    expect(files).toHaveLength(4);
    expect(files.every((name) => /^req_[0-9a-z]{26}\.receipt$/.test(name))).toBe(true);
    expect(statSync(kept).mode & 0o777).toBe(0o700);
    for (const name of files) expect(statSync(join(kept, name)).mode & 0o777).toBe(0o600);

    const { code, out } = await cli.run('audit', 'receipt', kept, '--key', logKey);
    expect([code, out]).toEqual([0, expect.stringContaining('4 receipts: 4 sound.')]);
  });

  it('refuses a directory that it cannot write into, before anything is asked for', async () => {
    const path = join(cli.folder, 'a-file');
    writeFileSync(path, '');
    const asked = ['--grant', grant.id, '--purpose', 'bias', '--run', 'x', '--receipts', path];
    const { code, err } = await cli.run('connect', ...asked, '--profile', 'researcher');
    expect([code, err]).toEqual([2, expect.stringContaining(path)]);
  });
});

describe('a statement held against receipts', () => {
  it('is sound where the log counts exactly these calls, and its log was only continued', async () => {
    for (const who of ['researcher', 'lead']) {
      const { code, out, err } = await held(who, kept);
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain('SOUND: 4 receipts as the log counts.');
    }
    const shown = await cli.json<{ items: object[] }>('audit', 'statement', '--profile', 'lead');
    expect(shown.items).toMatchObject([
      { person: running.people.researcher.id, requests: 2, outcomes: 2, refusals: 1, answered: 1 },
    ]);
  });

  it('names the calls that have no receipt, which can be fetched', async () => {
    const run = await startConnect(running, grant, 'not kept');
    running.upstream.respond(openaiJson());
    await run.openai.chat.completions.create(HELLO);
    await run.stop();
    const request = running.entries({ kind: 'request.outcome' }).at(-1)?.ref ?? '';
    const lacking = await held('researcher', kept);
    expect([lacking.code, lacking.out]).toEqual([
      2,
      expect.stringContaining(`NO RECEIPT  ${request}`),
    ]);

    const fetched = await cli.run(
      'audit',
      'receipts',
      '--since',
      '2020-01-01',
      '--dir',
      kept,
      '--profile',
      'researcher',
    );
    expect(fetched.out).toContain('1 receipt fetched');
    expect((await held('researcher', kept)).code).toBe(0);
    // There is nothing more to fetch.
    const again = await cli.json(
      'audit',
      'receipts',
      '--since',
      '2020-01-01',
      '--dir',
      kept,
      '--profile',
      'researcher',
    );
    expect(again).toMatchObject({ requests: 5, kept: 0, missing: [] });
  });

  it('fetches those of one run, of oneself or of somebody whose calls one may see', async () => {
    const { items } = await cli.json<{ items: { run: string }[] }>(
      'audit',
      'statement',
      '--profile',
      'researcher',
    );
    const directory = join(cli.folder, 'of-run');
    const args = ['audit', 'receipts', '--dir', directory, '--run', items[0]?.run ?? ''];
    const fetched = await cli.json<{ kept: number }>(...args, '--profile', 'lead');
    expect(fetched.kept).toBeGreaterThan(0);
    const other = await cli.json(...args, '--profile', 'other');
    expect(other).toMatchObject({ requests: 0, kept: 0 });
  });

  it('keeps none of a log of which no key is configured, where others are', async () => {
    const file = join(dirname(profilesPath(cli.env)), 'log-keys');
    const directory = join(cli.folder, 'unchecked');
    const fetch = () =>
      cli.run(
        'audit',
        'receipts',
        '--since',
        '2020-01-01',
        '--dir',
        directory,
        '--profile',
        'researcher',
      );
    try {
      writeFileSync(file, new SampleLog('other.example/log').verifierKey);
      const { code, err } = await fetch();
      expect([code, err]).toEqual([1, expect.stringContaining('No key of this log was given')]);
      expect(readdirSync(directory)).toEqual([]);
      writeFileSync(file, logKey);
      expect((await fetch()).code).toBe(0);
      expect(readdirSync(directory)).not.toEqual([]);
    } finally {
      rmSync(file);
    }
  });

  it('names a receipt of a call that the log does not count', async () => {
    // A statement that leaves the newest call out, as a broker that hides one would make it.
    const database = new Database(join(running.test.dataDir, DATABASE_FILE), { readonly: true });
    const size = database.prepare('SELECT max(size) FROM checkpoints').pluck().get() as number;
    database.close();
    const real = globalThis.fetch;
    const hidden = running.entries({ kind: 'request.outcome' }).at(-1)?.ref ?? '';
    const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async (...args) => {
      const answer = await real(...args);
      const [input] = args;
      const url = typeof input === 'string' ? input : '';
      if (!url.includes('/statements')) return answer;
      const body = (await answer.json()) as { items: { request?: string }[] };
      const items = body.items.filter(({ request }) => request !== hidden);
      const changed = Response.json({ ...body, items }, { status: answer.status });
      Object.defineProperty(changed, 'url', { value: answer.url });
      return changed;
    });
    try {
      const { code, out } = await held('researcher', kept);
      expect(code).toBe(1);
      expect(out).toContain(`does not count its entry`);
      expect(out).toContain(hidden);
      expect(out).toContain('is not over the entries that the broker lists');
      expect(size).toBeGreaterThan(0);
    } finally {
      spy.mockRestore();
    }
  });

  it('finds receipts that were tampered with, and says what it could not do', async () => {
    const [name = ''] = readdirSync(kept);
    const path = join(kept, name);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"purpose":"hallucination"', '"purpose":"hallucinatiom"'));
    const tampered = await held('researcher', kept);
    expect([tampered.code, tampered.out]).toEqual([1, expect.stringContaining('BAD')]);
    const one = await cli.run('audit', 'receipt', path, '--key', logKey, '--json');
    expect([one.code, JSON.parse(one.out)]).toMatchObject([1, { status: 'tampered' }]);
    writeFileSync(path, text);

    const cut = join(cli.folder, 'cut.receipt');
    writeFileSync(cut, text.slice(0, -100));
    expect((await cli.run('audit', 'receipt', cut, path, '--key', logKey)).code).toBe(2);
    rmSync(cut);

    for (const args of [
      ['audit', 'receipt', path],
      ['audit', 'receipt', path, '--key', 'a'],
      ['audit', 'receipt', path, '--key', '@/no/file'],
      ['audit', 'receipt', '/no/receipt', '--key', logKey],
      ['audit', 'statement', '--receipts', kept, '--profile', 'researcher'],
      [
        'audit',
        'statement',
        '--receipts',
        kept,
        '--log-key',
        logKey,
        '--url',
        'http://127.0.0.1:9',
      ],
    ]) {
      const { code, err } = await cli.run(...args);
      expect([args, code, err]).toEqual([args, 3, expect.stringContaining('sallyport: ')]);
    }
    expect((await cli.run('audit', 'receipts', '--dir', kept)).code).toBe(2);
    expect((await cli.run('audit', 'statement', '--log-key', logKey)).code).toBe(2);
  });

  describe('from a broker that lies', () => {
    /** Answers of the broker, changed. */
    async function lying<T>(
      change: (url: string, body: never) => unknown,
      act: () => Promise<T>,
    ): Promise<T> {
      const real = globalThis.fetch;
      const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async (...args) => {
        const [input] = args;
        const url = typeof input === 'string' ? input : '';
        const answer = await real(...args);
        if (!/statements|\/me$|\/log\/receipts/.test(url)) return answer;
        const changed = Response.json(change(url, (await answer.json()) as never));
        Object.defineProperty(changed, 'url', { value: answer.url });
        return changed;
      });
      try {
        return await act();
      } finally {
        spy.mockRestore();
      }
    }
    const fetchAll = (directory: string, ...args: string[]) =>
      cli.run(
        'audit',
        'receipts',
        '--since',
        '2020-01-01',
        '--dir',
        directory,
        '--profile',
        'researcher',
        ...args,
      );

    it('and answers as of an old checkpoint, is not sound', async () => {
      const database = new Database(join(running.test.dataDir, DATABASE_FILE), { readonly: true });
      const old = database
        .prepare('SELECT note FROM checkpoints ORDER BY size LIMIT 1')
        .pluck()
        .get() as string;
      database.close();
      const [origin = '', size = '', root = ''] = old.split('\n');
      const checkpoint = { origin, size: Number(size), root, note: old };
      const { code, out } = await lying(
        (url, body: object) =>
          url.includes('/statements') ? { checkpoint, items: [], next: null } : body,
        () => held('researcher', kept),
      );
      expect([code, out]).toEqual([1, expect.stringContaining('it was rolled back')]);
    });

    it('and says that whoever asks is of another lab, is not sound', async () => {
      const change = (url: string, body: { lab?: { id: string }; items: object[] }): unknown =>
        url.endsWith('/me')
          ? { ...body, lab: { ...body.lab, id: 'lab_00000000000000000000000000' } }
          : { ...body, items: [], next: null };
      const own = await lying(change, () => held('researcher', kept));
      expect([own.code, own.out]).toEqual([1, expect.stringContaining('does not count')]);
      const labs = await lying(change, () => held('lead', kept));
      expect([labs.code, labs.out]).toEqual([2, expect.stringContaining('NOT HELD')]);
    });

    it('and gives something else for receipts, has none written over and none kept', async () => {
      const [name = ''] = readdirSync(kept);
      const whole = readFileSync(join(kept, name), 'utf8');
      const others = readdirSync(kept).slice(1);
      const sham = (url: string, body: { items: { request: string }[] }): unknown =>
        url.includes('/log/receipts')
          ? { items: body.items.map(({ request }) => ({ request, receipt: whole })) }
          : body;
      const before = others.map((file) => readFileSync(join(kept, file), 'utf8'));
      await lying(sham, () => fetchAll(kept));
      expect(others.map((file) => readFileSync(join(kept, file), 'utf8'))).toEqual(before);

      const fresh = join(cli.folder, 'fresh');
      const { code, err } = await lying(sham, () => fetchAll(fresh));
      expect([code, err]).toEqual([1, expect.stringContaining('was not kept')]);
      expect(readdirSync(fresh)).toEqual([name]);
      // With the log's key also what only its signature tells.
      const stranger = new SampleLog(running.test.broker.store.origin).verifierKey;
      const none = join(cli.folder, 'none');
      expect((await fetchAll(none, '--log-key', stranger)).code).toBe(1);
      expect(readdirSync(none)).toEqual([]);
      expect((await fetchAll(none, '--log-key', logKey)).code).toBe(0);
      expect(readdirSync(none)).toEqual(readdirSync(kept));
    });
  });

  it('does not take a copy of one receipt for that of another call, and fetches that again', async () => {
    const [name = '', other = ''] = readdirSync(kept);
    const text = readFileSync(join(kept, other), 'utf8');
    writeFileSync(join(kept, other), readFileSync(join(kept, name), 'utf8'));
    const checked = await cli.run('audit', 'receipt', kept, '--key', logKey);
    expect([checked.code, checked.out]).toEqual([
      1,
      expect.stringContaining(`in the place of the one of ${other.replace('.receipt', '')}`),
    ]);
    const fetched = await cli.run(
      'audit',
      'receipts',
      '--since',
      '2020-01-01',
      '--dir',
      kept,
      '--profile',
      'researcher',
    );
    expect(fetched.out).toContain('1 receipt fetched');
    expect(readFileSync(join(kept, other), 'utf8').split('\n', 2)).toEqual(text.split('\n', 2));
  });

  it('checks receipts by a new key of the log with the history of its keys, offline', async () => {
    const { store } = running.test.broker;
    await rotateLogKey(running.test.broker, running.people.admin.id, 0);
    expect(store.verifierKey).not.toBe(logKey);
    const run = await startConnect(running, grant, 'by a new key', { options: [] });
    running.upstream.respond(openaiJson());
    await run.openai.chat.completions.create(HELLO);
    await run.stop();
    const directory = join(cli.folder, 'after');
    const options = ['--since', '2020-01-01', '--dir', directory, '--profile', 'researcher'];
    const fetched = await cli.run('audit', 'receipts', ...options, '--log-key', logKey);
    expect([fetched.code, fetched.err]).toEqual([0, expect.stringContaining('Check them with')]);
    const without = await cli.run('audit', 'receipt', directory, '--key', logKey);
    expect([without.code, without.err]).toEqual([3, expect.stringContaining('--history FILE')]);
    const history = join(cli.folder, 'history.json');
    writeFileSync(
      history,
      (await cli.run('audit', 'key', '--history', '--json', '--profile', 'lead')).out,
    );
    const keys = ['--key', logKey, '--key', store.verifierKey];
    const both = await cli.run('audit', 'receipt', directory, ...keys);
    expect([both.code, both.err]).toEqual([3, expect.stringContaining('there is no history')]);
    for (const given of [['--key', logKey], keys])
      expect(
        (await cli.run('audit', 'receipt', directory, ...given, '--history', history)).code,
      ).toBe(0);
    expect((await held('researcher', directory)).code).toBe(0);
  });
});
