/** A search finds what looking at every entry finds, wherever its index has come to, and no page does more than so much. */
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { EntryDraft, EntryKind } from '../../src/core/audit/entry.ts';
import type { EntrySearch } from '../../src/core/audit/entry-search.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import type { Direction } from '../../src/store/search-sources.ts';
import { LocalWriter, anEntry, makeDataDirectory } from '../support/store.ts';

const NOW = 1_750_000_000_000;
const CHUNK = 4_096;

const idOf = (prefix: string, n: number | string): string =>
  `${prefix}_${String(n).padStart(26, '0')}`;
const some = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => idOf(prefix, i));

const refs = [...some('req', 9), idOf('run', 1), idOf('tok', 1), idOf('ord', 1), idOf('ord', 2)];
const labs = some('lab', 2);
const people = some('per', 3);
const grants = some('grt', 3);
const tokens = some('tok', 4);
const runs = some('run', 4);
const orders = some('ord', 4);
const purposes = ['hallucination', 'sycophancy', 'bias'] as const;
const kinds = [
  'request.intent',
  'request.outcome',
  'request.intent',
  'request.outcome',
  'request.intent',
  'request.outcome',
  'request.denied',
  'token.issued',
  'order.issued',
  'audit.read',
] as const;
const ends = ['completed', 'cut', 'client_gone'];
const models = ['model-a-1', 'Modèle "é"'];

/** The same numbers each time: what fails can be looked at again. */
function numbers(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

function drafts(below: (most: number) => number): () => Partial<EntryDraft> {
  const one = <T>(values: readonly T[]): T | undefined =>
    below(4) === 0 ? undefined : values[below(values.length)];
  return () => {
    const kind = kinds[below(kinds.length)] as EntryKind;
    const isRare = below(1_500) === 0;
    const data: EntryDraft['data'] =
      kind === 'request.outcome'
        ? { message: 'she said "end":"cut" and ,"data":{', end: one(ends) }
        : kind === 'request.intent'
          ? { ...(below(9) === 0 ? { notedBy: [orders[below(4)] as string] } : {}), stream: false }
          : { by: one(orders), nested: [{ id: people[below(3)] as string }] };
    const person = one(people);
    return {
      kind,
      // Of requests, the actor is the person.
      actor:
        person === undefined
          ? { system: 'broker' }
          : { person, lab: labs[0] as string, roles: ['researcher'] },
      ref: one(refs),
      lab: one(labs),
      person,
      grant: isRare ? idOf('grt', 'rare') : one(grants),
      token: one(tokens),
      run: one(runs),
      purpose: one(purposes),
      endpoint: one(['demo', 'other']),
      model: one(models),
      operation: one(['chat.completions', 'messages']),
      decision: kind === 'request.outcome' ? undefined : one(['allowed', 'denied'] as const),
      reason: below(6) === 0 ? 'grant_suspended' : undefined,
      orders: below(8) === 0 ? [orders[below(4)] as string, orders[below(4)] as string] : undefined,
      data,
    };
  };
}

interface Said {
  index: number;
  id: string;
  kind: string;
  committedAt: string;
  actor: { person?: string; system?: string };
  ref?: string;
  orders?: string[];
  data?: { notedBy?: string[]; end?: string };
  [member: string]: unknown;
}

const PLAIN = [
  'ref',
  'lab',
  'person',
  'grant',
  'purpose',
  'endpoint',
  'model',
  'operation',
  'decision',
  'reason',
] as const;

/** Written anew from what the search is said to do: not with the code under test. */
function isFound(said: Said, search: EntrySearch): boolean {
  const at = Date.parse(said.committedAt);
  if (search.since !== undefined && at < search.since) return false;
  if (search.until !== undefined && at >= search.until) return false;
  if (search.kind && !search.kind.includes(said.kind)) return false;
  for (const field of PLAIN)
    if (search[field] !== undefined && said[field] !== search[field]) return false;
  const isRequest = said.kind === 'request.intent' || said.kind === 'request.outcome';
  const about = (id: string): boolean => !isRequest && said.ref === id;
  for (const field of ['run', 'token'] as const) {
    const wanted = search[field];
    if (wanted !== undefined && said[field] !== wanted && !about(wanted)) return false;
  }
  const { order, actor, end, id } = search;
  if (order !== undefined) {
    const noted = said.kind === 'request.intent' ? (said.data?.notedBy ?? []) : [];
    if (![...(said.orders ?? []), ...noted].includes(order) && !about(order)) return false;
  }
  if (actor !== undefined && (said.actor.person ?? said.actor.system) !== actor) return false;
  if (end !== undefined && (said.kind !== 'request.outcome' || said.data?.end !== end))
    return false;
  if (id === undefined) return true;
  // Of requests, what belongs to the request, and not what else their data say.
  const named = isRequest
    ? [
        said.ref,
        said['lab'],
        said['person'],
        said['grant'],
        said['token'],
        said['run'],
        said.actor.person,
      ]
    : [];
  const texts = isRequest
    ? [...named, ...(said.orders ?? []), ...(said.data?.notedBy ?? [])]
    : [{ ...said, id: '' }];
  return texts.some((text) => JSON.stringify(text)?.includes(`"${id}"`));
}

let directory: string;
let writer: LocalWriter;
let readers: Readers;
let log: Said[];

const SIZE = 2 * CHUNK + 700;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sallyport-search-'));
  mkdirSync(join(directory, 'keys'), { mode: 0o700 });
  writer = new LocalWriter(directory, NOW, { closedByCaller: true });
  const below = numbers(11);
  const draft = drafts(below);
  while (writer.context.size < SIZE) {
    // Now and then the clock is set back.
    writer.now += below(40) === 0 ? -below(200_000) : below(3_000);
    const many = Math.min(SIZE - writer.context.size, 1 + below(60));
    const calls = Array.from({ length: many }, () =>
      writer.call('recordEntry', anEntry(writer.now, draft())),
    );
    writer.commit(...calls);
  }
  readers = new Readers(join(directory, DATABASE_FILE));
  log = readers
    .listEntries({ from: 0, limit: SIZE })
    .map(({ bytes }) => JSON.parse(String(bytes)) as Said);
});
afterAll(() => {
  readers.close();
  writer.close();
  rmSync(directory, { recursive: true });
});

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 1 });

/** Filters that hold together often enough: the first two members of each are drawn from all of them. */
const single: Record<string, fc.Arbitrary<unknown>> = {
  kind: fc.uniqueArray(fc.constantFrom(...kinds, 'no.such'), { minLength: 1, maxLength: 3 }),
  ref: fc.constantFrom(...refs, 'req_nowhere'),
  id: fc.constantFrom(...refs, ...people, ...orders, ...labs, ...grants, idOf('ent', 0)),
  lab: fc.constantFrom(...labs),
  person: fc.constantFrom(...people),
  actor: fc.constantFrom(...people, 'broker'),
  grant: fc.constantFrom(...grants, idOf('grt', 'rare'), idOf('grt', 'none')),
  token: fc.constantFrom(...tokens),
  run: fc.constantFrom(...runs),
  order: fc.constantFrom(...orders),
  purpose: fc.constantFrom(...purposes),
  endpoint: fc.constantFrom('demo', 'other'),
  model: fc.constantFrom(...models),
  operation: fc.constantFrom('chat.completions', 'messages'),
  decision: fc.constantFrom('allowed', 'denied'),
  reason: fc.constantFrom('grant_suspended', 'no_such_reason'),
  end: fc.constantFrom(...ends),
};

const instant = fc.integer({ min: NOW - 400_000, max: NOW + 900_000 });

const searches = fc
  .record({
    fields: fc.uniqueArray(fc.constantFrom(...Object.keys(single)), { maxLength: 3 }),
    since: rarely(instant),
    until: rarely(instant),
  })
  .chain(({ fields, since, until }) =>
    fc
      .record(
        Object.fromEntries(fields.map((field) => [field, single[field] as fc.Arbitrary<unknown>])),
      )
      .map((asked) => ({ ...asked, since, until })),
  );

const directions = fc.constantFrom<Direction>('oldest first', 'newest first');
const places = fc.oneof(
  fc.nat(SIZE + 2),
  fc.constantFrom(0, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, SIZE - 1, SIZE),
);

interface Part {
  direction: Direction;
  from: number;
  below: number;
}

function lookThrough(search: EntrySearch, { direction, from, below }: Part): number[] {
  const found = log.slice(from, below).filter((said) => isFound(said, search));
  const indexes = found.map(({ index }) => index);
  return direction === 'oldest first' ? indexes : indexes.toReversed();
}

/** Every page of a search; what each comes to must go on where the last one ended. */
function allPages(from: Readers, search: EntrySearch, part: Part, limit: number): number[] {
  const found: number[] = [];
  let rest: Part = part;
  for (let pages = 0; pages < SIZE; pages += 1) {
    const page = from.searchEntries(search, { ...rest, limit });
    expect(page.found.length).toBeLessThanOrEqual(limit);
    found.push(...page.found.map(({ index }) => index));
    if (page.next === undefined) return found;
    rest = {
      ...rest,
      ...(rest.direction === 'oldest first' ? { from: page.next } : { below: page.next }),
    };
  }
  throw new Error('The pages have no end.');
}

test('any search, either way, in pages of any length', () => {
  expect(readers.searchIndexCovers()).toBe(2 * CHUNK);
  const parts = fc.record({ direction: directions, from: places, below: places });
  let hits = 0;
  fc.assert(
    fc.property(searches, parts, fc.integer({ min: 25, max: 900 }), (search, part, limit) => {
      const due = lookThrough(search, part);
      if (due.length > 0) hits += 1;
      expect(allPages(readers, search, part, limit)).toEqual(due);
    }),
    { numRuns: 150 },
  );
  // What finds nothing anyway shows nothing.
  expect(hits).toBeGreaterThan(25);
}, 120_000);

describe.each(Object.keys(single))('by %s alone', (field) => {
  test('finds just those entries', () => {
    const whole: Part = { direction: 'oldest first', from: 0, below: SIZE };
    fc.assert(
      fc.property(single[field] as fc.Arbitrary<unknown>, (value) => {
        const search = { [field]: value } as EntrySearch;
        const due = lookThrough(search, whole);
        expect(allPages(readers, search, whole, 500)).toEqual(due);
      }),
      { numRuns: 12 },
    );
  });
});

test('pages stay right while the log grows', () => {
  const grown = makeDataDirectory();
  const own = new LocalWriter(grown, NOW);
  const draft = drafts(numbers(5));
  const grow = (many: number): void => {
    const calls = Array.from({ length: many }, () =>
      own.call('recordEntry', anEntry(NOW, draft())),
    );
    for (let i = 0; i < calls.length; i += 500) own.commit(...calls.slice(i, i + 500));
  };
  grow(CHUNK - 300);
  const view = new Readers(join(grown, DATABASE_FILE));
  onTestFinished(() => view.close());
  const search: EntrySearch = { lab: labs[0] };
  const pages: Record<Direction, number[]> = { 'oldest first': [], 'newest first': [] };
  const rest: Record<Direction, { from: number; below: number } | undefined> = {
    'oldest first': { from: 0, below: Infinity },
    'newest first': { from: 0, below: Infinity },
  };
  const first = view.logSize();
  while (rest['oldest first'] || rest['newest first']) {
    for (const direction of ['oldest first', 'newest first'] as const) {
      const part = rest[direction];
      if (!part) continue;
      const page = view.searchEntries(search, { ...part, direction, limit: 100 });
      pages[direction].push(...page.found.map(({ index }) => index));
      const { next } = page;
      rest[direction] =
        next === undefined
          ? undefined
          : direction === 'oldest first'
            ? { ...part, from: next }
            : { ...part, below: next };
    }
    // Its pages cross the end of a chunk while it is being written.
    if (view.logSize() < CHUNK + 900) grow(97);
  }
  const all = view
    .listEntries({ from: 0, limit: 20_000, labId: labs[0] })
    .map(({ index }) => index);
  expect(pages['oldest first']).toEqual(all);
  expect(pages['newest first']).toEqual(all.filter((index) => index < first).toReversed());
});

describe('a data directory of before', () => {
  /** As an earlier version left it: a long log, and no index of searches. */
  function unindexed(): LocalWriter {
    const old = makeDataDirectory();
    const own = new LocalWriter(old, NOW, { closedByCaller: true });
    const draft = drafts(numbers(3));
    for (let i = 0; i < 30; i += 1)
      own.commit(
        ...Array.from({ length: 500 }, () => own.call('recordEntry', anEntry(NOW, draft()))),
      );
    own.context.db.$client.exec('DELETE FROM entry_terms; DELETE FROM entry_chunks');
    own.close();
    const again = new LocalWriter(old, NOW);
    const view = new Readers(join(old, DATABASE_FILE));
    onTestFinished(() => view.close());
    readersOf.set(again, view);
    return again;
  }
  const readersOf = new Map<LocalWriter, Readers>();

  test('is searched at once, and indexed in steps', () => {
    const own = unindexed();
    const view = readersOf.get(own) as Readers;
    const part = { direction: 'oldest first', from: 0, below: Infinity } as const;
    const search: EntrySearch = { person: people[1], decision: 'denied' };
    expect(view.searchIndexCovers()).toBe(0);
    const due = allPages(view, search, part, 200);
    expect(due.length).toBeGreaterThan(200);
    let commits = 0;
    const catchUp = (): void => {
      own.commit(own.call('catchUp', {}));
      commits += 1;
      expect(allPages(view, search, part, 200)).toEqual(due);
    };
    catchUp();
    expect(own.committer.isIndexBehind).toBe(true);
    while (own.committer.isIndexBehind) catchUp();
    expect(view.searchIndexCovers()).toBe(3 * CHUNK);
    expect(commits).toBeGreaterThan(3);
  });

  test('a page does no more than so much of it, and says where to go on', () => {
    const view = readersOf.get(unindexed()) as Readers;
    const search: EntrySearch = { reason: 'no_such_reason' };
    const page = view.searchEntries(search, {
      direction: 'oldest first',
      from: 0,
      below: Infinity,
      limit: 10,
    });
    expect(page.found).toEqual([]);
    expect(page.next).toBeGreaterThan(1_000);
    expect(page.next).toBeLessThan(8_000);
    const back = view.searchEntries(search, {
      direction: 'newest first',
      from: 0,
      below: Infinity,
      limit: 10,
    });
    expect(back.next).toBeGreaterThan(8_000);
  });

  test('indexes that nothing goes by any more are emptied in steps and dropped', () => {
    const own = new LocalWriter(makeDataDirectory(), NOW);
    const { $client: client } = own.context.db;
    const insert = client.prepare('INSERT INTO entries_by_lab (lab_id, idx) VALUES (?, ?)');
    for (let i = 0; i < 9_000; i += 1) insert.run('lab_0', i);
    const left = (): unknown =>
      client
        .prepare(
          "SELECT count(*) FROM sqlite_master WHERE name GLOB 'entries_by_*' AND type = 'table'",
        )
        .pluck()
        .get();
    expect(left()).toBe(5);
    let commits = 0;
    for (; left() !== 1; commits += 1) own.commit(own.call('shrinkOldIndexes', {}));
    expect(commits).toBe(4 + 3);
    own.commit(own.call('shrinkOldIndexes', {}));
    expect(left()).toBe(1);
  });
});

test('what was undone leaves nothing in the index, and what takes its place is found', () => {
  const own = new LocalWriter(makeDataDirectory(), NOW);
  const { $client: client } = own.context.db;
  const commit = (many: number, lab: string): number =>
    own.commit(
      ...Array.from({ length: many }, () => own.call('recordEntry', anEntry(NOW, { lab }))),
    ).answers.length;
  for (let i = 0; i < 8; i += 1) commit(500, labs[0] as string);
  // Completes the chunk, and is undone.
  client.exec(
    "CREATE TEMP TRIGGER no_room BEFORE INSERT ON main.entry_chunks BEGIN SELECT RAISE(ROLLBACK, 'no room'); END",
  );
  commit(500, labs[1] as string);
  expect(own.context.size).toBe(4_000);
  client.exec('DROP TRIGGER no_room');
  commit(500, idOf('lab', 7));
  // What was read before is read again, which takes more than one commit.
  while (own.committer.isIndexBehind) own.commit(own.call('catchUp', {}));
  const held = client
    .prepare("SELECT value FROM entry_terms WHERE field = 'lab' ORDER BY 1")
    .pluck()
    .all();
  expect(held).toEqual([labs[0], idOf('lab', 7)]);
});
