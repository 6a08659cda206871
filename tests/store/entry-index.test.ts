/** Entries are found by the id that pairs them as if all were looked through, wherever its index has come to. */
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { EntryDraft, EntryKind } from '../../src/core/audit/entry.ts';
import type { RequestIds } from '../../src/core/requests.ts';
import { mintId } from '../../src/lib/ids.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import type { StoredEntry } from '../../src/store/entry-index.ts';
import type { Call } from '../../src/store/group-commit.ts';
import { Readers } from '../../src/store/readers.ts';
import {
  LocalWriter,
  anEntry,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  settleArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;

/** Entries that are indexed together. */
const STEP = 256;

const COLUMNS = ['ref', 'kind', 'lab_id', 'person_id', 'grant_id'] as const;
type Column = (typeof COLUMNS)[number];
type About = Partial<Record<Column, string | undefined>>;

interface Row extends Record<Column, string | null> {
  idx: number;
  bytes: Buffer;
}

let directory: string;
let writer: LocalWriter;

beforeEach(() => {
  directory = makeDataDirectory();
  writer = new LocalWriter(directory, NOW);
});

const all = <T>(sql: string): T[] => writer.context.db.$client.prepare(sql).all() as T[];

const rows = (): Row[] =>
  all('SELECT idx, ref, kind, person_id, grant_id, lab_id, bytes FROM entries ORDER BY idx');

/** What the index must hold of the log as it is, and what it does hold. */
function expectIndexed(): void {
  const entries = rows();
  const whole = entries.slice(0, entries.length - (entries.length % STEP));
  const due = whole.filter(({ ref }) => ref !== null).map(({ idx, ref }) => `${idx} ${ref}`);
  const held = all<{ ref: string; idx: number }>(
    'SELECT ref, idx FROM entries_by_ref ORDER BY idx',
  ).map(({ ref, idx }) => `${idx} ${ref}`);
  expect(held).toEqual(due);
}

/** What looking at every entry finds. */
function lookThrough(
  entries: Row[],
  about: About,
  { from, limit }: { from: number; limit: number },
): StoredEntry[] {
  const asked = COLUMNS.filter((column) => about[column] !== undefined);
  return entries
    .slice(from)
    .filter((row) => asked.every((column) => row[column] === about[column]))
    .slice(0, limit)
    .map(({ idx, bytes }) => ({ index: idx, bytes }));
}

/** Values that occur rarely and often, and that occur nowhere. */
const refs = [...Array.from({ length: 12 }, (_, i) => `req_${i}`), 'req_nowhere'];
const kinds = [
  'request.intent',
  'request.outcome',
  'request.intent',
  'request.outcome',
  'request.denied',
  'audit.read',
  'grant.created',
  'no.such.kind',
];
const labs = ['lab_0', 'lab_1', 'lab_nowhere'];
const people = ['per_0', 'per_1', 'per_2', 'per_nowhere'];
const grants = ['grt_0', 'grt_1', 'grt_nowhere'];

/** A log whose entries differ, in commits of any length: some complete no step, some several. */
function fillLog(size: number): void {
  // The same log each time: what fails can be looked at again.
  let state = 7 + size;
  const below = (most: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
  const one = (values: string[]): string | undefined =>
    below(5) === 0 ? undefined : values[below(values.length - 1)];
  const draft = (): Partial<EntryDraft> => ({
    kind: kinds[below(kinds.length - 1)] as EntryKind,
    ref: one(refs),
    lab: one(labs),
    person: one(people),
    grant: one(grants),
  });
  while (writer.context.size < size) {
    const many = Math.min(size - writer.context.size, 1 + below(below(3) === 0 ? 600 : 90));
    const calls = Array.from({ length: many }, () =>
      writer.call('recordEntry', anEntry(NOW, draft())),
    );
    writer.commit(...calls);
  }
}

const wanted = (values: string[]): fc.Arbitrary<string | undefined> =>
  fc.option(fc.constantFrom(...values), { nil: undefined });

const filters = fc.record({
  ref: wanted(refs),
  kind: wanted(kinds),
  lab_id: wanted(labs),
  person_id: wanted(people),
  grant_id: wanted(grants),
});

describe.each([0, 1, 255, 256, 257, 511, 512, 513, 700])('in a log of %i entries', (size) => {
  beforeEach(() => fillLog(size));

  test('every entry of whole steps is indexed, and no other', () => {
    expect(writer.context.size).toBe(size);
    expectIndexed();
  });

  test('any filter finds what looking through the log finds, page by page', () => {
    const readers = new Readers(join(directory, DATABASE_FILE));
    onTestFinished(() => readers.close());
    const entries = rows();
    fc.assert(
      fc.property(filters, fc.integer({ min: 20, max: 300 }), (about, limit) => {
        const { ref, kind, lab_id: labId, person_id: personId, grant_id: grantId } = about;
        const found: StoredEntry[] = [];
        for (let from = 0, page: StoredEntry[] | undefined; page?.length !== 0;) {
          page = readers.listEntries({ from, limit, ref, kind, labId, personId, grantId });
          found.push(...page);
          from = (page.at(-1)?.index ?? from) + 1;
        }
        expect(found).toEqual(lookThrough(entries, about, { from: 0, limit: Infinity }));
      }),
      { numRuns: 60 },
    );
  });
});

/** The places of entries about a ref, in the log as it is. */
function placesOf(ref: string): number[] {
  const readers = new Readers(join(directory, DATABASE_FILE));
  try {
    return readers.listEntries({ from: 0, limit: 1_000_000, ref }).map(({ index }) => index);
  } finally {
    readers.close();
  }
}

const record = (draft: Partial<EntryDraft> = {}): Call =>
  writer.call('recordEntry', anEntry(NOW, draft));

/** Any entries, until the log has so many. */
const pad = (size: number): void =>
  void writer.commit(...Array.from({ length: size - writer.context.size }, () => record()));

describe('an entry', () => {
  test('is found at once, while its step is not complete, and when it is', () => {
    pad(STEP - 2);
    writer.commit(record({ ref: 'req_a' }));
    expect(writer.count('entries_by_ref')).toBe(0);
    expect(placesOf('req_a')).toEqual([254]);
    // Completes the step.
    writer.commit(record({ ref: 'req_a' }));
    expect(writer.count('entries_by_ref')).toBe(2);
    expect(placesOf('req_a')).toEqual([254, 255]);
    writer.commit(record({ ref: 'req_a' }));
    expect(writer.count('entries_by_ref')).toBe(2);
    expect(placesOf('req_a')).toEqual([254, 255, 256]);
  });

  test('is found behind a commit that completes several steps', () => {
    pad(100);
    const calls = Array.from({ length: 3 * STEP }, (_, i) => record({ ref: `req_${i % 300}` }));
    writer.commit(...calls);
    expectIndexed();
    expect(writer.count('entries_by_ref')).toBe(3 * STEP - 100);
    expect(placesOf('req_20')).toEqual([120, 420, 720]);
    expect(placesOf('req_167')).toEqual([267, 567, 867]);
  });

  test('is found after a restart in the middle of a step', () => {
    pad(STEP - 10);
    writer.commit(record({ ref: 'req_a' }));
    writer.close();
    writer = new LocalWriter(directory, NOW);
    expect(placesOf('req_a')).toEqual([246]);
    pad(STEP + 10);
    expectIndexed();
    expect(placesOf('req_a')).toEqual([246]);
  });
});

describe('what was undone', () => {
  test('an operation that fails as a step completes leaves nothing in the indexes', () => {
    pad(STEP - 1);
    const taken = writer.entries()[0]?.id as string;
    const { answers } = writer.commit(record({ id: taken, ref: 'req_undone' }));
    expect(answers).toMatchObject([{ failed: expect.stringContaining('UNIQUE') as string }]);
    expectIndexed();
    // Its place is taken by another.
    writer.commit(record({ id: taken, ref: 'req_undone' }), record({ ref: 'req_kept' }));
    expectIndexed();
    expect([placesOf('req_undone'), placesOf('req_kept')]).toEqual([[], [STEP - 1]]);
  });

  test('a commit that finds no room leaves nothing, and is indexed when there is some', () => {
    pad(STEP - 100);
    const client = writer.context.db.$client;
    client.pragma(`max_page_count = ${String(client.pragma('page_count', { simple: true }))}`);
    const batch = (): Call[] => Array.from({ length: 400 }, () => record({ ref: 'req_a' }));
    const { answers } = writer.commit(...batch());
    expect(new Set(answers.map((answer) => 'refused' in answer))).toEqual(new Set([true]));
    expect([writer.context.size, placesOf('req_a')]).toEqual([STEP - 100, []]);
    expectIndexed();
    client.pragma('max_page_count = 1073741823');
    // Other entries in the places of those that were lost.
    writer.commit(...Array.from({ length: 200 }, () => record({ ref: 'req_b' })));
    expectIndexed();
    expect([placesOf('req_a').length, placesOf('req_b').length]).toEqual([0, 200]);
    writer.commit(...batch());
    expectIndexed();
    expect(placesOf('req_a')).toHaveLength(400);
  });

  test('whatever fails in whichever commits, the indexes hold what the log holds', async () => {
    const world = await makeWorld(writer.write, NOW);
    const open = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
    await writer.write('reserve', open);
    const taken = writer.entries()[0]?.id as string;
    const halfToken = { tokens: 1.5, spendNanoUsd: 1 };
    const client = writer.context.db.$client;
    const calls: Record<string, () => Call> = {
      entry: () => record({ ref: 'req_a', lab: 'lab_a' }),
      intent: () => record({ kind: 'request.intent', ref: 'req_b' }),
      fails: () => record({ id: taken, ref: 'req_undone' }),
      // Fails behind its entry and without a savepoint: its batch is run again.
      halfDone: () => writer.call('settle', settleArgs(open.facts.requestId, NOW, halfToken)),
    };
    const name = fc.oneof(
      { weight: 6, arbitrary: fc.constant('entry') },
      { weight: 3, arbitrary: fc.constant('intent') },
      fc.constant('fails'),
      fc.constant('halfDone'),
    );
    const part = fc.record({ name, many: fc.integer({ min: 1, max: 130 }) });
    const commit = fc.record({
      parts: fc.array(part, { minLength: 1, maxLength: 5 }),
      isLost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(commit, { minLength: 1, maxLength: 5 }), (commits) => {
        for (const { parts, isLost } of commits) {
          const batch = parts.flatMap(({ name: what, many }) =>
            // Each that is half done has the whole batch run again: one is enough.
            Array.from({ length: what === 'halfDone' ? 1 : many }, () => calls[what]?.() as Call),
          );
          const { size } = writer.context;
          // The index cannot be written: everything before it is undone.
          if (isLost)
            client.exec(
              `CREATE TEMP TRIGGER no_room BEFORE INSERT ON main.entries_by_ref
               BEGIN SELECT RAISE(ROLLBACK, 'no room'); END`,
            );
          writer.commit(...batch);
          if (isLost) client.exec('DROP TRIGGER no_room');
          expect(rows()).toHaveLength(writer.context.size);
          expect(writer.context.size).toBeGreaterThanOrEqual(size);
          expectIndexed();
          expect(placesOf('req_undone')).toEqual([]);
        }
      }),
      { numRuns: 12 },
    );
  });
});

describe('a request that was left open is closed from its intent', () => {
  let world: World;

  beforeEach(async () => {
    world = await makeWorld(writer.write, NOW);
  });

  /** Another entry about the same request stands before its intent. */
  async function reserve(): Promise<RequestIds> {
    const args = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
    writer.commit(record({ ref: args.facts.requestId }));
    await writer.write('reserve', args);
    return args.facts;
  }

  const restart = (): void => {
    writer.close();
    writer = new LocalWriter(directory, NOW);
  };

  /** Requests whose intents are first and last in a step, far behind, and not indexed; and the indexed size. */
  async function leaveOpen(): Promise<RequestIds[]> {
    const open = [await reserve()];
    for (const size of [STEP - 2, STEP, 2 * STEP - 1, 2 * STEP + 40]) {
      pad(size);
      open.push(await reserve());
    }
    const places = writer
      .entries()
      .filter(({ kind }) => kind === 'request.intent')
      .map(({ index }) => index);
    expect(places.slice(1)).toEqual([STEP - 1, STEP + 1, 2 * STEP, 2 * STEP + 41]);
    restart();
    return open;
  }

  const outcomes = (): unknown[] =>
    writer
      .entries()
      .filter(({ kind }) => kind === 'request.outcome')
      .map(({ ref, person, grant, lab }) => ({ ref, person, grant, lab }));

  const outcomeOf = ({ requestId, personId, grantId, labId }: RequestIds): unknown => ({
    ref: requestId,
    person: personId,
    grant: grantId,
    lab: labId,
  });

  test('by recovery', async () => {
    const open = await leaveOpen();
    const entryIds = Array.from({ length: 10 }, () => mintId('ent', NOW));
    const recovered = await writer.write('recoverUnfinished', { at: NOW, entryIds });
    expect(recovered).toEqual({ recovered: open.length, complete: true });
    const closed = outcomes();
    expect(closed).toHaveLength(open.length);
    expect(closed).toEqual(expect.arrayContaining(open.map(outcomeOf)));
  });

  test('by an outcome that comes after all', async () => {
    const open = await leaveOpen();
    const used = { tokens: 5, spendNanoUsd: 50 };
    for (const { requestId } of open)
      await writer.write('settle', settleArgs(requestId, NOW, used));
    expect(outcomes()).toEqual(open.map(outcomeOf));
  });

  test('by recovery in the commit that has just completed a step', async () => {
    const open = await reserve();
    pad(STEP - 1);
    restart();
    const recover = writer.call('recoverUnfinished', { at: NOW, entryIds: [mintId('ent', NOW)] });
    // The intent is not indexed yet when it is looked for, although the log has grown over the step.
    writer.commit(record(), record(), recover);
    expect(outcomes()).toEqual([outcomeOf(open)]);
    expectIndexed();
  });
});
