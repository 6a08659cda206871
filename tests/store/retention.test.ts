/** Retention inside the writer: what holds entries back, who prunes, and how what was pruned is taken away. */
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { RESUMABLE_MS } from '../../src/core/audit/exports.ts';
import { RefusedError } from '../../src/core/denials.ts';
import type { Role } from '../../src/core/people.ts';
import { mintId } from '../../src/lib/ids.ts';
import type { NewKey } from '../../src/store/operations/people.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import type { CallRow } from '../../src/store/call-index.ts';
import { arePrunedLeft } from '../../src/store/remove-pruned.ts';
import type { Outside } from '../../src/store/retention-holds.ts';
import {
  LocalWriter,
  anEntry,
  by,
  makeDataDirectory,
  makeWorld,
  newPerson,
  reserveArgs,
  type World,
} from '../support/store.ts';

const START = 1_750_000_000_000;
const DAY = 86_400_000;
const POLICY = { archiveAfterMs: 100 * DAY, noticeMs: 14 * DAY };
const SHA256 = 'a'.repeat(64);

let dataDir: string;
let writer: LocalWriter;
let world: World;
let auditor: string;

beforeEach(async () => {
  dataDir = makeDataDirectory();
  writer = new LocalWriter(dataDir, START);
  world = await makeWorld(writer.write, START);
  const person = newPerson('Otto Auditor', 'auditor');
  await writer.write('createPerson', { by: by(world.admin, START), labId: world.host, person });
  auditor = person.id;
});

/** Appends entries, all at the moment that it is. */
async function fill(upTo: number, change: (index: number) => object = () => ({})): Promise<void> {
  while (writer.context.size < upTo) {
    const calls = Array.from({ length: Math.min(500, upTo - writer.context.size) }, (_, i) =>
      writer.call('recordEntry', anEntry(writer.now, change(writer.context.size + i))),
    );
    writer.commit(...calls);
  }
  await writer.write('publishCheckpoint', { at: writer.now });
}

const outside = (changes: Partial<Outside> = {}): Outside => ({
  now: writer.now,
  receivers: [],
  oldestTranscript: undefined,
  ...changes,
});

const to = (): { labId: string }[] => [{ labId: world.host }, { labId: world.partner }];

/** Archives, as an export that was read to its end. */
async function archive(before?: number, changes: Partial<Outside> = {}): Promise<string> {
  const id = mintId('exp', writer.now);
  const who = by(auditor, writer.now);
  await writer.write('recordArchive', {
    by: who,
    id,
    before,
    policy: POLICY,
    outside: outside(changes),
    to: to(),
  });
  await completed(id);
  return id;
}

function completed(id: string, missing = 0): Promise<unknown> {
  const made = writer.entries().find((one) => one.kind === 'audit.exported' && one.ref === id);
  if (made === undefined) throw new Error('There is no such export.');
  const { from, to: before } = made.data as { from: number; to: number };
  return writer.write(
    'recordEntry',
    anEntry(writer.now, {
      kind: 'audit.export_completed',
      ref: id,
      data: { format: 'archive', entries: before - from - missing, bytes: 2, sha256: SHA256 },
    }),
  );
}

interface Prune {
  who?: string;
  shown?: { isSame: boolean; sha256: string };
  dryRun?: boolean;
  policy?: typeof POLICY;
  changes?: Partial<Outside>;
}

const prune = (
  exportId: string,
  {
    who = world.secondAdmin,
    shown = { isSame: true, sha256: SHA256 },
    dryRun = false,
    policy = POLICY,
    changes = {},
  }: Prune = {},
) =>
  writer.write('recordPruning', {
    by: by(who, writer.now),
    exportId,
    shown,
    dryRun,
    policy,
    outside: outside(changes),
    to: to(),
  });

async function archiveAndPrune(before?: number): Promise<void> {
  const id = await archive(before);
  writer.now += POLICY.noticeMs;
  await prune(id);
}

function removeAll(most = 1_000): void {
  for (let steps = 0; arePrunedLeft(writer.context.db); steps += 1) {
    if (steps === most) throw new Error('It never ends.');
    writer.commit(writer.call('removePruned', {}));
  }
}

const refusalOf = async (act: Promise<unknown>): Promise<string> => {
  try {
    await act;
    return 'it was not refused';
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return `${error.refusal.code}: ${error.refusal.message}`;
  }
};

const readers = (): Readers => new Readers(join(dataDir, DATABASE_FILE));

describe('what may be archived', () => {
  test('is what is older than the policy asks for, in whole bundles', async () => {
    await fill(700);
    writer.now += POLICY.archiveAfterMs - 1;
    expect(await refusalOf(archive())).toMatch(/^not_prunable: There is nothing to archive/);
    writer.now += 1;
    await fill(1_100);
    expect(await refusalOf(archive(257))).toContain('a multiple of 256');
    expect(await refusalOf(archive(768))).toBe(
      'not_prunable: Retention goes as far as the entries below 512: entry 700 is not older than the policy asks for.'.replace(
        'entry 700',
        `entry ${firstOfLate()}`,
      ),
    );
    await archive();
    expect(writer.entries().findLast(({ kind }) => kind === 'audit.exported')?.data).toMatchObject({
      format: 'archive',
      from: 0,
      to: 512,
    });
  });

  const firstOfLate = (): number =>
    writer.entries().find((one) => Date.parse((one as never)['committedAt']) > START)?.index ?? -1;

  test('is nothing that was recorded while the clock was wrong, and may be new', async () => {
    await fill(300);
    writer.now += 5 * DAY;
    await fill(301);
    writer.now = START + 1;
    await fill(900);
    writer.now = START + POLICY.archiveAfterMs + DAY;
    // Entry 300 is of a later moment than those behind it: it stays, and so do they.
    expect(await refusalOf(archive(512))).toContain('below 256: entry 300 is not older');
  });

  test('tells everybody concerned, from when on it can be pruned', async () => {
    await fill(600);
    writer.now += POLICY.archiveAfterMs;
    const id = await archive(256);
    const notices = writer.context.db.$client
      .prepare('SELECT lab_id, title FROM notices WHERE ref = ?')
      .all(id) as { lab_id: string; title: string }[];
    expect(new Set(notices.map((one) => one.lab_id))).toEqual(new Set([world.host, world.partner]));
    expect(notices[0]?.title).toContain('The entries 0 to 255 of the log');
    expect(notices[0]?.title).toContain(new Date(writer.now + POLICY.noticeMs).toISOString());
  });
});

describe('what is open holds entries back', () => {
  /** An id that entry 300 is about. */
  const held = 'xyz_01jzzzzzzzzzzzzzzzzzzzzzzz';
  const sql = (text: string, ...values: unknown[]): void =>
    void writer.context.db.$client.prepare(text).run(...values);
  const incident = (state: string, links: object[] = []): void =>
    sql(
      'INSERT INTO incidents (id, state, next_due_at, record) VALUES (?, ?, NULL, ?)',
      'inc_1',
      state,
      JSON.stringify({ links }),
    );

  beforeEach(async () => {
    sql('PRAGMA foreign_keys = OFF');
    await fill(1_000, (index) => (index === 300 ? { ref: held } : {}));
    writer.now += POLICY.archiveAfterMs;
  });

  test('nothing does where nothing is open', async () => {
    expect(await refusalOf(archive(768))).toBe('it was not refused');
  });

  test.each([
    [
      'an incident that is not closed',
      () =>
        sql(
          "INSERT INTO incidents (id, state, next_due_at, record) VALUES (?, 'open', NULL, '{\"links\":[]}')",
          held,
        ),
      256,
    ],
    [
      'an entry that an incident has to do with',
      () => incident('open', [{ entry: 600, removed: null }]),
      512,
    ],
    [
      'an order that an incident has to do with',
      () => incident('resolved', [{ order: held, removed: null }]),
      256,
    ],
    ['no incident that is closed', () => incident('closed', [{ order: held, removed: null }]), 768],
    [
      'an entry that was found not to belong to an open incident, which whoever prunes could say',
      () => incident('open', [{ entry: 600, removed: { at: 1 } }]),
      512,
    ],
    [
      'an order in force',
      () =>
        sql(
          "INSERT INTO orders (id, spec, issued_by, issued_by_lab, issued_as, issued_at, lapses_unreviewed, changes) VALUES (?, '{}', 'p', 'l', 'issuer', 1, 0, 0)",
          held,
        ),
      256,
    ],
    [
      'an objection that is not decided',
      () =>
        sql(
          "INSERT INTO disputes (id, order_id, lab_id, person_id, at, grounds, due_at) VALUES ('dsp_1', ?, 'l', 'p', 1, 'g', 2)",
          held,
        ),
      256,
    ],
    [
      'a request without an outcome',
      () =>
        sql(
          "INSERT INTO requests (id, grant_id, person_id, token_id, state, admitted_at, requests, tokens_reserved, spend_reserved_nano, tokens_charged, spend_charged_nano, salt) VALUES (?, 'g', 'p', 't', 'open', 1, 1, 0, 0, 0, 0, x'00')",
          held,
        ),
      256,
    ],
  ] as const)('%s', async (_what, open, most) => {
    open();
    const view = readers();
    const holds = view.retentionHolds(1_000, POLICY, outside());
    view.close();
    expect(await refusalOf(archive(768))).toContain(
      most === 768 ? 'it was not refused' : `below ${most}:`,
    );
    expect(holds.map(({ index }) => index - (index % 256)).at(0) ?? 768).toBe(most);
  });

  test('a receiver that has not got them', async () => {
    const receivers = [{ id: 'siem', next: 400 }];
    expect(await refusalOf(archive(768, { receivers }))).toContain(
      'below 256: entry 400 has not arrived at a receiver of the log (siem)',
    );
    // Where it was noted to stand counts, if that is less: a start goes on from there.
    await writer.write('recordForwarded', { cursors: [{ receiver: 'siem', next: 200 }], at: 1 });
    const ahead = [{ id: 'siem', next: 900 }];
    expect(await refusalOf(archive(768, { receivers: ahead }))).toContain('below 0: entry 200');
  });

  test('transcripts that are kept, from when the oldest was written', async () => {
    expect(await refusalOf(archive(768, { oldestTranscript: START }))).toContain('transcripts');
    expect(await refusalOf(archive(768, { oldestTranscript: START + DAY }))).toBe(
      'it was not refused',
    );
  });

  test('an export that was not read to its end, for as long as it can be resumed', async () => {
    const id = mintId('exp', writer.now);
    await writer.write('recordExport', {
      by: by(auditor, writer.now),
      id,
      format: 'jsonl',
      from: 512,
      filter: {},
    });
    expect(await refusalOf(archive(768))).toContain(`below 512: entry 512 is of an export`);
    writer.now += RESUMABLE_MS + 1;
    expect(await refusalOf(archive(768))).toBe('it was not refused');
  });

  test('no link of an incident to what is pruned already', async () => {
    const id = await archive(512);
    writer.now += POLICY.noticeMs;
    await prune(id);
    incident('open', [
      { entry: 100, removed: null },
      { order: held, removed: null },
    ]);
    expect(await refusalOf(archive(768))).toBe('it was not refused');
  });

  test('what came to be open after the archive was made', async () => {
    const id = await archive(768);
    writer.now += POLICY.noticeMs;
    incident('open', [{ entry: 600, removed: null }]);
    expect(await refusalOf(prune(id))).toContain('below 512: entry 600');
    sql("UPDATE incidents SET state = 'closed'");
    expect(await refusalOf(prune(id))).toBe('it was not refused');
  });
});

describe('who prunes, and with what', () => {
  let id: string;

  beforeEach(async () => {
    await fill(1_000);
    writer.now += POLICY.archiveAfterMs;
    id = await archive(512);
  });

  const size = (): number => readersSize();
  const readersSize = (): number => writer.count('prunings');

  test('nobody before the time of notice is over', async () => {
    writer.now += POLICY.noticeMs - 1;
    expect(await refusalOf(prune(id))).toMatch(/^not_prunable: Everybody concerned was told/);
    expect(size()).toBe(0);
    writer.now += 1;
    expect(await refusalOf(prune(id))).toBe('it was not refused');
  });

  test('not whoever made the archive, whatever roles they have', async () => {
    writer.now += POLICY.noticeMs;
    await writer.write('createPerson', {
      by: by(world.admin, writer.now),
      labId: world.host,
      person: { ...newPerson('Both', 'admin', 'auditor'), id: mintId('per', 1) },
    });
    const both = writer.context.db.$client
      .prepare("SELECT id FROM people WHERE name = 'Both'")
      .pluck()
      .get() as string;
    auditor = both;
    writer.now += POLICY.noticeMs;
    const own = await archive(512);
    writer.now += POLICY.noticeMs;
    expect(await refusalOf(prune(own, { who: both }))).toMatch(/^second_person_needed/);
    expect(await refusalOf(prune(own))).toBe('it was not refused');
  });

  const created = async (who: string, name: string, ...roles: Role[]): Promise<string> => {
    const person = newPerson(name, ...roles);
    await writer.write('createPerson', { by: by(who, writer.now), labId: world.host, person });
    return person.id;
  };
  const give = {
    key: (who: string, personId: string) =>
      writer.write('addPersonKey', {
        by: by(who, writer.now),
        personId,
        key: newPerson('x', 'auditor').key as NewKey,
      }),
    roles: (who: string, personId: string, roles: Role[]) =>
      writer.write('setPersonRoles', { by: by(who, writer.now), personId, roles }),
  };
  const ARE_ONE = /^second_person_needed: You and whoever archived/;

  test('no admin who registered whoever archived, nor one who registered somebody who did', async () => {
    writer.now += POLICY.noticeMs;
    expect(await refusalOf(prune(id, { who: world.admin }))).toMatch(ARE_ONE);
    const puppet = await created(world.secondAdmin, 'Puppet', 'admin');
    auditor = await created(puppet, 'Puppet of a puppet', 'auditor');
    writer.now += POLICY.noticeMs;
    const own = await archive(512);
    writer.now += POLICY.noticeMs;
    for (const who of [puppet, world.secondAdmin, world.admin])
      expect(await refusalOf(prune(own, { who }))).toMatch(ARE_ONE);
    expect(size()).toBe(0);
  });

  test('no admin who gave whoever archived their roles, also when the entry of it was pruned', async () => {
    await give.roles(world.secondAdmin, auditor, ['auditor', 'safety']);
    const third = await created(world.admin, 'Third', 'admin');
    await fill(2_000);
    writer.now += POLICY.archiveAfterMs;
    await prune(await archiveAfterNotice(1_280), { who: third });
    removeAll();
    const next = await archiveAfterNotice(1_536);
    expect(await refusalOf(prune(next))).toMatch(ARE_ONE);
    expect(await refusalOf(prune(next, { who: third }))).toBe('it was not refused');
  });

  const archiveAfterNotice = async (before: number): Promise<string> => {
    const made = await archive(before);
    writer.now += POLICY.noticeMs;
    return made;
  };

  test('no admin whom whoever archived gave their roles', async () => {
    auditor = await created(world.admin, 'Both', 'admin', 'auditor');
    await give.roles(auditor, world.secondAdmin, ['admin', 'safety']);
    writer.now += POLICY.noticeMs;
    const own = await archiveAfterNotice(512);
    expect(await refusalOf(prune(own))).toMatch(ARE_ONE);
  });

  test('nobody with an account or a key that is younger than the time of notice', async () => {
    auditor = await created(world.admin, 'New', 'auditor');
    writer.now += POLICY.noticeMs - 1;
    expect(await refusalOf(archive(512))).toMatch(/^second_person_needed: Your account, a key/);
    writer.now += 1;
    const own = await archiveAfterNotice(512);
    await give.key(world.secondAdmin, world.secondAdmin);
    expect(await refusalOf(prune(own))).toMatch(/^second_person_needed: Your account, a key/);
    writer.now += POLICY.noticeMs;
    expect(await refusalOf(prune(own))).toBe('it was not refused');
  });

  test('not before the day that everybody was told, though the policy was changed since', async () => {
    writer.now += POLICY.noticeMs - 1;
    const shorter = { archiveAfterMs: 30 * DAY, noticeMs: DAY };
    expect(await refusalOf(prune(id, { policy: shorter }))).toContain(
      `from ${new Date(writer.now + 1).toISOString()} on`,
    );
    writer.now += 1;
    const longer = { ...POLICY, archiveAfterMs: 500 * DAY };
    expect(await refusalOf(prune(id, { policy: longer }))).toContain('is not older than');
    expect(await refusalOf(prune(id, { policy: shorter }))).toBe('it was not refused');
  });

  test('nobody who is no admin of the host, and nobody archives who is no auditor', async () => {
    writer.now += POLICY.noticeMs;
    for (const who of [world.safety, auditor, world.lead, world.researcher])
      expect(await refusalOf(prune(id, { who }))).toMatch(/^role_required/);
    for (const who of [world.admin, world.safety, world.lead]) {
      auditor = who;
      expect(await refusalOf(archive(512))).toMatch(/^role_required/);
    }
    expect(size()).toBe(0);
    // What was refused is on record.
    expect(writer.entries().at(-1)).toMatchObject({ kind: 'action.denied' });
  });

  test('not without the archive, nor by one that is made to other bytes than are on record', async () => {
    writer.now += POLICY.noticeMs;
    const another = { isSame: false, sha256: SHA256 };
    expect(await refusalOf(prune(id, { shown: another }))).toContain('it is another file');
    const changed = { isSame: true, sha256: 'b'.repeat(64) };
    expect(await refusalOf(prune(id, { shown: changed }))).toContain('has another digest than');
    expect(size()).toBe(0);
  });

  test('not by an archive with fewer entries on record than it is of', async () => {
    const short = mintId('exp', writer.now);
    const who = by(auditor, writer.now);
    const about = { policy: POLICY, outside: outside(), to: to() };
    await writer.write('recordArchive', { ...about, by: who, id: short, before: 512 });
    await completed(short, 256);
    writer.now += POLICY.noticeMs;
    expect(await refusalOf(prune(short))).toContain('not as many entries on record as it is of');
  });

  test('not by an export that is no archive, nor by one that was not read to its end', async () => {
    const bundle = mintId('exp', writer.now);
    await writer.write('recordExport', {
      by: by(auditor, writer.now),
      id: bundle,
      format: 'bundle',
      filter: {},
    });
    await completed(bundle);
    const cut = mintId('exp', writer.now + 1);
    await writer.write('recordArchive', {
      by: by(auditor, writer.now),
      id: cut,
      before: 512,
      policy: POLICY,
      outside: outside(),
      to: to(),
    });
    writer.now += POLICY.noticeMs;
    expect(await refusalOf(prune(bundle))).toMatch(/^not_found: There is no such archive/);
    expect(await refusalOf(prune(cut))).toContain('was not read to its end');
    expect(await refusalOf(prune(mintId('exp', 1)))).toMatch(/^not_found/);
    expect(size()).toBe(0);
  });

  test('not twice, and not by an archive that does not begin where the log does', async () => {
    const other = await archive(768);
    writer.now += POLICY.noticeMs;
    await prune(id);
    expect(await refusalOf(prune(id))).toContain('begins at entry 0, and the log at entry 512');
    expect(await refusalOf(prune(other))).toContain('begins at entry 0, and the log at entry 512');
    expect(size()).toBe(1);
  });

  test('a dry run prunes nothing, and says what would be', async () => {
    writer.now += POLICY.noticeMs;
    const before = writer.context.size;
    expect(await prune(id, { dryRun: true })).toEqual({ first: 0, before: 512, bytes: 2 });
    expect([size(), writer.context.size]).toEqual([0, before]);
  });

  test('leaves an entry that names every archive, under a checkpoint that covers it', async () => {
    writer.now += POLICY.noticeMs;
    await prune(id);
    await archiveAndPrune(768);
    const [first, second] = writer.entries().filter(({ kind }) => kind === 'log.pruned');
    expect(first?.data).toMatchObject({ first: 0, before: 512 });
    expect(second?.data).toMatchObject({
      first: 512,
      before: 768,
      archivedBy: auditor,
      archives: [
        { first: 0, before: 512, export: id, sha256: SHA256 },
        { first: 512, before: 768, sha256: SHA256 },
      ],
    });
    expect(second?.actor).toMatchObject({ person: world.secondAdmin });
    expect(second?.data).toMatchObject({
      introducedBy: { archiver: [world.admin], pruner: [world.admin] },
    });
    const view = readers();
    expect(view.latestCheckpoint()?.size).toBe((second?.index ?? 0) + 1);
    view.close();
  });
});

describe('what was pruned', () => {
  test('counts as gone at once, and is taken away in steps, those of a crash included', async () => {
    await fill(5_500, (index) => ({ ref: mintId('req', START + index) }));
    writer.now += POLICY.archiveAfterMs;
    const id = await archive(4_608);
    writer.now += POLICY.noticeMs;
    await prune(id);
    const { size } = writer.context;
    const view = readers();
    expect(view.listEntries({ from: 0, limit: 1 })[0]?.index).toBe(4_608);
    expect(view.readEntry(100)).toBeUndefined();
    view.close();
    expect(writer.count('entries')).toBe(size);
    for (let steps = 0; steps < 5; steps += 1) writer.commit(writer.call('removePruned', {}));
    // Crash here: what is left is known by what is there.
    writer.close();
    writer = new LocalWriter(dataDir, writer.now);
    expect(writer.count('entries')).toBe(size - 5 * 256);
    expect(arePrunedLeft(writer.context.db)).toBe(true);
    removeAll();
    expect(writer.count('entries')).toBe(size - 4_608);
    expect(writer.count('entries_by_ref WHERE idx < 4608')).toBe(0);
    expect(writer.context.size).toBe(size);
    expect(writer.count('tiles WHERE level = 0')).toBe(Math.ceil(size / 256));
    await fill(size + 300);
    expect(writer.context.size).toBe(size + 300);
  });

  test('cannot be more than is on record', async () => {
    await fill(1_000);
    writer.now += POLICY.archiveAfterMs;
    await archiveAndPrune(512);
    const run = (text: string): unknown => writer.context.db.$client.exec(text);
    expect(() => run('DELETE FROM entries WHERE idx = 512')).toThrow('never removed before');
    expect(() => run('DELETE FROM prunings')).toThrow('never removed');
    expect(() => run('UPDATE prunings SET before = 768')).toThrow('never changed');
    run('DELETE FROM entries WHERE idx = 511');
    expect(writer.count('entries WHERE idx = 511')).toBe(0);
  });

  test('leaves no term of the search index behind, and searches of the rest find the same', async () => {
    const runs = ['run_a', 'run_b', 'run_c'];
    const change = (index: number): object => ({
      run: runs[index % 3],
      model: `model-${Math.floor(index / 1_000)}`,
    });
    await fill(9_000, change);
    writer.now += POLICY.archiveAfterMs;
    const found = (search: object): number[] => {
      const view = readers();
      const list: number[] = [];
      for (let from: number | undefined = 0; from !== undefined;) {
        const range = { direction: 'oldest first', from, below: Infinity, limit: 500 } as const;
        const page = view.searchEntries(search, range);
        list.push(...page.found.map(({ index }) => index));
        from = page.next;
      }
      view.close();
      return list;
    };
    const searches = [{ run: 'run_a' }, { model: 'model-5' }, { model: 'model-6' }, { since: 0 }];
    const before = searches.map(found);
    await archiveAndPrune(5_632);
    removeAll();
    for (const [i, search] of searches.entries())
      expect(found(search).filter((index) => index < 9_000)).toEqual(
        before[i]?.filter((index) => index >= 5_632 && index < 9_000),
      );
    expect(writer.count("entry_terms WHERE chunk = 0 AND field NOT IN ('person', 'run')")).toBe(0);
    expect(writer.count("entry_terms WHERE value = 'model-4'")).toBe(0);
    expect(writer.count("entry_terms WHERE value = 'model-5'")).toBe(1);
    // The next one goes on in the middle of a chunk.
    await archiveAndPrune(8_192);
    removeAll();
    expect(writer.count("entry_terms WHERE chunk < 2 AND field NOT IN ('person', 'run')")).toBe(0);
    expect(found({ model: 'model-8' })).toEqual(
      Array.from({ length: 1_000 - 192 }, (_, i) => 8_192 + i),
    );
  });

  test('stays in what statements count', async () => {
    const runs = ['run_a', 'run_b', 'run_c'];
    await fill(9_000, (index) => ({
      kind: 'request.denied',
      person: world.researcher,
      run: runs[index % 3],
    }));
    writer.now += POLICY.archiveAfterMs;
    const counted = (size = 9_000): CallRow[] => {
      const view = readers();
      const calls = view.calls(size);
      const found = [...calls.groups({ personId: world.researcher })].flatMap((group) =>
        [...calls.rows(group, 0, 1_000)].flat(),
      );
      view.close();
      return found;
    };
    const before = counted();
    expect(before.length).toBeGreaterThan(8_900);
    for (const minimum of [5_632, 8_448]) {
      await archiveAndPrune(minimum);
      removeAll();
      expect(counted()).toEqual(before);
      // As of older checkpoints, too, whose last step is gone.
      for (const size of [300, 4_100])
        expect(counted(size)).toEqual(before.filter(({ index }) => index < size));
    }
  });

  test('is not in a chunk of the search index that is written later', async () => {
    await fill(1_000, () => ({ run: 'run_old' }));
    writer.now += POLICY.archiveAfterMs;
    await archiveAndPrune(512);
    removeAll();
    await fill(5_000, () => ({ run: 'run_new' }));
    writer.close();
    // And so after a start, which reads the chunk again.
    writer = new LocalWriter(dataDir, writer.now);
    await fill(9_000, () => ({ run: 'run_new' }));
    const view = readers();
    expect(view.searchIndexCovers()).toBe(8_192);
    expect(view.listEntries({ from: 0, limit: 1_000, kind: 'audit.read' })[0]?.index).toBe(512);
    view.close();
  });

  test('of any log, at any minimum, leaves every hash tile as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 300, max: 1_500 }), fc.nat(), async (size, seed) => {
        const own = new LocalWriter(makeDataDirectory(), START, { closedByCaller: true });
        try {
          writer = own;
          world = await makeWorld(own.write, START);
          const person = newPerson('Otto Auditor', 'auditor');
          const who = by(world.admin, START);
          await own.write('createPerson', { by: who, labId: world.host, person });
          auditor = person.id;
          await fill(size);
          own.now += POLICY.archiveAfterMs;
          const most = Math.floor(own.context.size / 256);
          const before = 256 * (1 + (seed % Math.max(1, most)));
          const tilesOf = (): unknown =>
            own.context.db.$client
              .prepare('SELECT * FROM tiles WHERE level = 0 AND n < ?')
              .all(before / 256);
          const leaves = tilesOf();
          await archiveAndPrune(before);
          removeAll();
          expect(tilesOf()).toEqual(leaves);
          expect(own.count('entries')).toBe(own.context.size - before);
        } finally {
          own.close();
        }
      }),
      { numRuns: 6 },
    );
  });
});

test('an open request is a hold, and its outcome lets go of it', async () => {
  const args = reserveArgs(world, { epoch: writer.context.epoch, at: START });
  await writer.write('reserve', args);
  await fill(600);
  writer.now += POLICY.archiveAfterMs;
  expect(await refusalOf(archive(256))).toContain('is of a request without an outcome');
});
