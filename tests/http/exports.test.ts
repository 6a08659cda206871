import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { COLUMNS } from '../../src/core/audit/columns.ts';
import { RESUMABLE_MS } from '../../src/core/audit/exports.ts';
import { RefusedError, refusal } from '../../src/core/denials.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { mintId } from '../../src/lib/ids.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Api } from '../support/api.ts';
import { contentOf, exported } from '../support/exports.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let grant: { id: string };
let ahead = 0;

beforeAll(async () => {
  test = await startTestBroker({ clock: () => systemClock() + ahead });
  people = await makePeople(test);
  api = new Api(test);
  grant = await makeActiveGrant(test, people);
  await fill(2_000);
});
afterAll(() => test.close());

const FORMULA = '=HYPERLINK("https://evil.example";"x"),\r\n"quoted"';

async function fill(count: number): Promise<void> {
  for (let done = 0; done < count; done += 100) await fillHundred(done);
}

async function fillHundred(from: number): Promise<void> {
  const at = test.broker.clock();
  const actor = { system: 'broker' } as const;
  const write = (i: number): Promise<unknown> => {
    const data = { message: i % 2 === 0 ? FORMULA : 'é ✓', n: i };
    const entry = { id: mintId('ent', at), kind: 'audit.read' as const, at, actor, data };
    return test.broker.store.write('recordEntry', { entry }, { deadlineMs: 10_000 });
  };
  await Promise.all(Array.from({ length: 100 }, (_, i) => write(from + i)));
}

interface Line {
  index: number;
  kind: string;
  ref?: string;
  lab?: string;
  grant?: string;
  data: Record<string, unknown>;
}

const linesOf = (bytes: Buffer): Line[] =>
  bytes
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const stored = (index: number): string =>
  String(test.broker.readers.readEntry(index)?.bytes.toString('utf8'));

const entriesAbout = (ref: string, kind: string): Line[] =>
  test.broker.readers
    .listEntries({ from: 0, limit: 50, ref, kind })
    .map(({ bytes }) => JSON.parse(String(bytes)) as Line);

describe('JSON lines', () => {
  it('are the exact entries below the checkpoint, after the entry that records the export', async () => {
    const { status, headers, id, bytes } = await exported(test, api, people.auditor, {
      format: 'jsonl',
    });
    expect(status).toBe(200);
    const size = Number(headers.get('x-sallyport-size'));
    const [record = '', ...lines] = bytes.toString('utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(size);
    expect(lines.every((line, index) => line === stored(index))).toBe(true);
    const note = Buffer.from(String(headers.get('x-sallyport-checkpoint')), 'base64').toString();
    expect(openCheckpoint(note, test.broker.store.verifierKey).size).toBe(size);
    expect(record).toBe(stored(size));
    expect(JSON.parse(record)).toMatchObject({
      kind: 'audit.exported',
      ref: id,
      actor: { person: people.auditor.id },
      data: { format: 'jsonl', from: 0, to: size, size, checkpoint: note },
    });
  });

  it('hold what a range, a time and a filter leave, and the record says which', async () => {
    const ranged = await exported(test, api, people.auditor, { format: 'jsonl', from: 5, to: 9 });
    expect(
      linesOf(ranged.bytes)
        .slice(1)
        .map(({ index }) => index),
    ).toEqual([5, 6, 7, 8]);
    const about = await exported(test, api, people.auditor, { format: 'jsonl', grant: grant.id });
    const [record, ...lines] = linesOf(about.bytes);
    expect(record?.data['filter']).toEqual({ grant: grant.id });
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.every((line) => line.grant === grant.id)).toBe(true);
    const since = new Date(test.broker.clock() + 3_600_000).toISOString();
    const later = await exported(test, api, people.auditor, { format: 'jsonl', since });
    expect(linesOf(later.bytes)).toHaveLength(1);
    const until = await exported(test, api, people.auditor, { format: 'jsonl', until: since });
    expect(linesOf(until.bytes)).toHaveLength(1 + Number(until.headers.get('x-sallyport-size')));
  });

  it('are complete only once the log says what they came to', async () => {
    const { id, bytes } = await exported(test, api, people.auditor, { format: 'jsonl', to: 100 });
    const [completed] = entriesAbout(id, 'audit.export_completed');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(completed?.data).toEqual({ format: 'jsonl', entries: 100, bytes: bytes.length, sha256 });
    const shown = await api.get(people.auditor, `/exports/${id}`);
    expect(shown.body).toMatchObject({
      id,
      format: 'jsonl',
      running: null,
      completed: { entries: 100, bytes: bytes.length, sha256 },
    });
  });
});

describe('an export that cannot be recorded', () => {
  /** Has the log refuse one kind of entry, as it would on a full disk. */
  async function withoutEntries<T>(kind: string, act: () => Promise<T>): Promise<T> {
    const { store } = test.broker;
    const write = store.write.bind(store);
    const refusing = (name: string, args: { entry?: { kind: string } }): Promise<unknown> =>
      name === 'recordEntry' && args.entry?.kind === kind
        ? Promise.reject(new RefusedError(refusal('log_unavailable')))
        : (write as typeof refusing)(name, args);
    store.write = refusing as typeof write;
    try {
      return await act();
    } finally {
      store.write = write;
    }
  }

  it('never comes to its end, and can be resumed when it can', async () => {
    const broken = withoutEntries('audit.export_completed', () =>
      exported(test, api, people.auditor, { format: 'jsonl' }),
    );
    await expect(broken).rejects.toThrow('terminated');
    const [last] = test.broker.readers
      .listEntries({ from: 0, limit: 1_000, kind: 'audit.exported' })
      .slice(-1);
    const { ref = '' } = JSON.parse(String(last?.bytes)) as Line;
    expect(entriesAbout(ref, 'audit.export_completed')).toEqual([]);
    const again = await contentOf(test, api, people.auditor, ref);
    expect(linesOf(again.bytes)).toHaveLength(1 + Number(again.headers.get('x-sallyport-size')));
  });

  it('is not resumed', async () => {
    const { id } = await exported(test, api, people.auditor, { format: 'jsonl', to: 50 });
    const refused = await withoutEntries('audit.export_resumed', () =>
      contentOf(test, api, people.auditor, id),
    );
    expect(refused.status).toBe(503);
  });
});

describe('an export over a hole in the log', () => {
  it('fails in every format, and is never said to be complete', async () => {
    const database = new Database(join(test.dataDir, DATABASE_FILE));
    const row = database.prepare('SELECT * FROM entries WHERE idx = 7').get() as object;
    const columns = Object.keys(row);
    const trigger = 'entries_are_removed_only_where_pruned';
    const sql = database
      .prepare('SELECT sql FROM sqlite_master WHERE name = ?')
      .pluck()
      .get(trigger) as string;
    database.exec(`DROP TRIGGER ${trigger}; DELETE FROM entries WHERE idx = 7`);
    try {
      for (const format of ['jsonl', 'csv', 'parquet', 'ocsf'])
        await expect(exported(test, api, people.auditor, { format, to: 20 })).rejects.toThrow(
          /terminated|fetch failed/,
        );
      const range = { format: 'csv', from: 8, to: 20 };
      expect((await exported(test, api, people.auditor, range)).status).toBe(200);
    } finally {
      const names = columns.map((name) => `@${name}`).join(', ');
      database.prepare(`INSERT INTO entries (${columns.join(', ')}) VALUES (${names})`).run(row);
      database.exec(sql);
      database.close();
    }
    const completed = test.broker.readers
      .listEntries({ from: 0, limit: 1_000, kind: 'audit.export_completed' })
      .map(({ bytes }) => JSON.parse(String(bytes)) as Line);
    expect(completed.at(-1)?.data).toMatchObject({ format: 'csv', entries: 12 });
  });
});

describe('CSV', () => {
  it('has the same columns always, and no cell that a spreadsheet would calculate', async () => {
    const { headers, bytes } = await exported(test, api, people.auditor, { format: 'csv' });
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const rows = parseCsv(bytes.toString('utf8'));
    expect(rows[0]).toEqual(COLUMNS.map(({ name }) => name));
    expect(rows).toHaveLength(1 + Number(headers.get('x-sallyport-size')));
    expect(rows.every((row) => row.length === COLUMNS.length)).toBe(true);
    const message = COLUMNS.findIndex(({ name }) => name === 'message');
    const messages = new Set(rows.map((row) => row[message]));
    expect(messages).toContain(`'${FORMULA}`);
    expect(messages).toContain('é ✓');
    expect(rows.flat().filter((cell) => /^[=+\-@\t\r]/.test(cell))).toEqual([]);
  });
});

describe('Parquet', () => {
  it('is read by another reader: typed columns, bounded row groups, the checkpoint in its metadata', async () => {
    const { headers, id, bytes } = await exported(test, api, people.auditor, { format: 'parquet' });
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const metadata = parquetMetadata(file as ArrayBuffer);
    const size = Number(headers.get('x-sallyport-size'));
    expect(Number(metadata.num_rows)).toBe(size);
    expect(metadata.schema.slice(1).map(({ name }) => name)).toEqual(
      COLUMNS.map(({ name }) => name),
    );
    const said = new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value]));
    expect(said.get('sallyport.export')).toBe(id);
    const note = Buffer.from(String(headers.get('x-sallyport-checkpoint')), 'base64').toString();
    expect(said.get('sallyport.checkpoint')).toBe(note);
    const rows = await parquetReadObjects({ file: file as ArrayBuffer });
    expect(rows.map(({ index }) => Number(index as bigint))).toEqual(
      Array.from({ length: size }, (_, index) => index),
    );
    const at = Array.from({ length: size }, (_, i) => i).findIndex((i) =>
      stored(i).includes('"lab.created"'),
    );
    const entry = JSON.parse(stored(at)) as { id: string; at: string };
    expect(rows[at]).toMatchObject({
      id: entry.id,
      at: new Date(entry.at),
      kind: 'lab.created',
      actor_person: people.admin.id,
      grant_version: null,
    });
  });
});

/** Not everybody has it: where it is missing, that is said, and hyparquet alone has read the file. */
const hasDuckdb = spawnSync('duckdb', ['--version']).status === 0;
if (!hasDuckdb) process.stderr.write('SKIPPED: duckdb is not installed, so it reads no Parquet.\n');

describe.skipIf(!hasDuckdb)('Parquet in DuckDB', () => {
  it('has as many rows as the log has entries, with their times', async () => {
    const { headers, bytes } = await exported(test, api, people.auditor, { format: 'parquet' });
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-duckdb-'));
    try {
      const file = join(folder, 'log.parquet');
      writeFileSync(file, bytes);
      const query = `SELECT count(*), count(at), max("index") FROM '${file}'`;
      const { stdout } = spawnSync('duckdb', ['-csv', '-noheader', '-c', query]);
      const size = Number(headers.get('x-sallyport-size'));
      expect(String(stdout).trim()).toBe(`${size},${size},${size - 1}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('an evidence bundle', () => {
  it('goes on where it was cut, with the same id and the same bytes, and then is sound', async () => {
    const whole = await exported(test, api, people.outsideAuditor, { format: 'bundle' });
    await fill(300);
    const cut = Math.floor(whole.bytes.length / 3);
    const rest = await contentOf(test, api, people.outsideAuditor, whole.id, {
      range: `bytes=${cut}-`,
      'if-range': `"${whole.id}"`,
    });
    const total = whole.bytes.length;
    expect(rest.status).toBe(206);
    expect(rest.headers.get('content-range')).toBe(`bytes ${cut}-${total - 1}/${total}`);
    expect(rest.headers.get('content-length')).toBe(String(total - cut));
    const joined = Buffer.concat([whole.bytes.subarray(0, cut), rest.bytes]);
    expect(joined.equals(whole.bytes)).toBe(true);
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-resumed-'));
    try {
      writeFileSync(join(folder, 'joined.tar'), joined);
      const report = await verifyBundle(join(folder, 'joined.tar'), test.broker.store.verifierKey);
      expect(report.status).toBe('sound');
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(entriesAbout(whole.id, 'audit.export_resumed').map(({ data }) => data)).toEqual([
      { from: cut, bytes: total },
    ]);
  });

  it('is given whole where the range is of something else, and not at all beyond its end', async () => {
    const { id, bytes } = await exported(test, api, people.auditor, { format: 'bundle' });
    const other = { range: 'bytes=10-', 'if-range': '"exp_other"' };
    const whole = await contentOf(test, api, people.auditor, id, other);
    expect([whole.status, whole.bytes.equals(bytes)]).toEqual([200, true]);
    const range = `bytes=${bytes.length}-`;
    const beyond = await contentOf(test, api, people.auditor, id, { range });
    expect(beyond.status).toBe(416);
    expect(JSON.parse(String(beyond.bytes))).toMatchObject({ code: 'range_not_satisfiable' });
  });

  it('holds nothing back: ranges and filters are refused, and so are partners', async () => {
    const part = await exported(test, api, people.auditor, { format: 'bundle', to: 5 });
    expect(JSON.parse(String(part.bytes))).toMatchObject({
      code: 'invalid_request',
      param: 'format',
    });
    const partner = await exported(test, api, people.lead, {});
    expect([partner.status, JSON.parse(String(partner.bytes))]).toMatchObject([
      403,
      { code: 'role_required' },
    ]);
  });
});

describe('who may', () => {
  it('a lead and an auditor of a partner export what is about their lab, and nothing else', async () => {
    for (const who of [people.lead, people.partnerAuditor]) {
      const { status, bytes } = await exported(test, api, who, { format: 'jsonl' });
      expect(status).toBe(200);
      const lines = linesOf(bytes);
      expect(lines.length).toBeGreaterThan(5);
      expect(new Set(lines.map(({ lab }) => lab))).toEqual(new Set([people.partner.id]));
    }
    const other = await exported(test, api, people.otherLead, {
      format: 'jsonl',
      grant: grant.id,
    });
    expect(linesOf(other.bytes).map(({ kind }) => kind)).toEqual(['audit.exported']);
  });

  it('nobody else: researchers, admins', async () => {
    for (const who of [people.researcher, people.admin])
      expect((await exported(test, api, who, { format: 'csv' })).status).toBe(403);
  });

  it('only whoever made it sees it and resumes it, and for seven days', async () => {
    const { id, bytes } = await exported(test, api, people.lead, { format: 'csv' });
    for (const who of [people.partnerAuditor, people.auditor]) {
      expect((await api.get(who, `/exports/${id}`)).status).toBe(404);
      expect((await contentOf(test, api, who, id)).status).toBe(404);
    }
    const again = await contentOf(test, api, people.lead, id, { range: 'bytes=7-' });
    expect(again.bytes.equals(bytes.subarray(7))).toBe(true);
    ahead = RESUMABLE_MS;
    const late = new Api(test);
    const over = await contentOf(test, late, people.lead, id);
    ahead = 0;
    expect([over.status, JSON.parse(String(over.bytes))]).toMatchObject([
      410,
      { code: 'export_over' },
    ]);
  });
});

/** RFC 4180, as written by the standard and not by us. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|$)/gy;
  let row: string[] = [];
  for (let at = 0; at < text.length; at = cell.lastIndex) {
    cell.lastIndex = at;
    const [, raw = '', end] = cell.exec(text) ?? [];
    if (end === undefined) throw new Error(`There is no cell at ${at}.`);
    row.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    if (end === ',') continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
