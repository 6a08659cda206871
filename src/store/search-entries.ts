/**
 * Searching the log. Chunks that are indexed are found by what all conditions have in common; what is not indexed yet is
 * looked through. A page does no more than so much of either, whatever it finds: it then says where the next one goes on.
 */
import {
  EntryMatcher,
  conditionsOf,
  findsAll,
  type EntrySearch,
} from '../core/audit/entry-search.ts';
import type { TermField } from '../core/audit/entry-terms.ts';
import type { Db } from './database.ts';
import { MissingEntryError, indexedUpTo, mustHaveAll, type StoredEntry } from './entry-index.ts';
import { CHUNK, placesOf } from './postings.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';
import { coveredUpTo } from './search-index.ts';
import {
  ConditionSource,
  TimeSource,
  nextCommon,
  type Direction,
  type Effort,
  type Source,
} from './search-sources.ts';

/** Rows of the index that a page looks up, and entries that it reads in vain: each about 20 ms. */
const MOST_LOOK_UPS = 6_000;
const MOST_READ = 6_000;

/** Entries that are looked through at a time. */
const BATCH = 256;

/** Part of the log, and how many of its entries. */
export interface SearchRange {
  direction: Direction;
  /** The lowest index that is looked at. */
  from: number;
  /** The first index that is not. */
  below: number;
  limit: number;
  /** Whether an entry that is missing is an error; else the search goes on behind it. */
  isWhole?: boolean;
}

export interface FoundEntries {
  /** In the direction of the search. */
  found: StoredEntry[];
  /**
   * Where the next page goes on: its `from`, or its `below` where the newest come first; undefined: all was looked at.
   * There can be a next page where this one has found nothing.
   */
  next: number | undefined;
  /** Entries of the log at that moment: where there is no next page, all below it was looked at. */
  size: number;
}

/** An entry that is found, or the place at which a page that has done enough stops. */
type Step = StoredEntry | { stopAt: number };

/** One page of a search. @param size of the log @throws MissingEntryError, if the range is to be whole */
export function searchEntries(
  db: Db,
  search: EntrySearch,
  range: SearchRange,
  size: number,
): FoundEntries {
  if (range.isWhole && size < range.below) throw new MissingEntryError(size);
  const found: StoredEntry[] = [];
  const isForward = range.direction === 'oldest first';
  const least = minimumIndex(db);
  const part = {
    ...range,
    from: Math.max(range.from, least),
    below: Math.min(range.below, size),
  };
  for (const step of new Search(db, search, part, size).steps()) {
    if ('stopAt' in step) return { found, next: step.stopAt, size };
    found.push(step);
    if (found.length < range.limit) continue;
    const next = isForward ? step.index + 1 : step.index;
    const isDone = isForward ? next >= part.below : next <= part.from;
    return { found, next: isDone ? undefined : next, size };
  }
  return { found, next: undefined, size };
}

const entryAt = prepared((db) =>
  db.$client.prepare<[number], Buffer>('SELECT bytes FROM entries WHERE idx = ?').pluck(),
);

const indexesOf = prepared((db) =>
  db.$client.prepare<[number, number], { index: number }>(
    'SELECT idx AS "index" FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
  ),
);

/** Columns that a condition can be held against. */
const COLUMNS: Partial<Record<TermField, string>> = {
  kind: 'kind',
  ref: 'ref',
  lab: 'lab_id',
  person: 'person_id',
  grant: 'grant_id',
};

class Search {
  readonly #db: Db;
  readonly #search: EntrySearch;
  readonly #range: SearchRange;
  readonly #size: number;
  readonly #matcher: EntryMatcher;
  readonly #isForward: boolean;
  readonly #effort: Effort = { lookUps: 0 };
  #readInVain = 0;

  constructor(db: Db, search: EntrySearch, range: SearchRange, size: number) {
    this.#db = db;
    this.#search = search;
    this.#range = range;
    this.#size = size;
    this.#matcher = new EntryMatcher(search);
    this.#isForward = range.direction === 'oldest first';
  }

  *steps(): Generator<Step> {
    const { from, below } = this.#range;
    const { ref } = this.#search;
    const all = findsAll(this.#search);
    const covered = between(from, all ? from : coveredUpTo(this.#db), below);
    const refs = ref === undefined ? covered : between(covered, indexedUpTo(this.#size), below);
    const parts = [
      () => this.#lookUp(from, covered),
      // What pairs entries is indexed nearly to the end.
      () => this.#lookUpRefs(ref ?? '', covered, refs),
      () => this.#lookThrough(refs, below),
    ];
    for (const part of this.#isForward ? parts : parts.toReversed()) yield* part();
  }

  /** What lies in a part of the log that is indexed. */
  *#lookUp(from: number, below: number): Generator<Step> {
    if (from >= below) return;
    const first = Math.floor(from / CHUNK);
    const last = Math.floor((below - 1) / CHUNK);
    const { direction } = this.#range;
    const isTooMuch = (): boolean => this.#effort.lookUps >= MOST_LOOK_UPS;
    const chunks = { direction, first, last, isTooMuch };
    for (const { chunk, bits } of nextCommon(this.#sources(), chunks)) {
      if (bits) yield* this.#placed(placesOf(bits), chunk * CHUNK, from, below);
      else {
        yield { stopAt: this.#isForward ? chunk * CHUNK : (chunk + 1) * CHUNK };
        return;
      }
    }
  }

  *#placed(places: number[], first: number, from: number, below: number): Generator<Step> {
    const isTimed = this.#search.since !== undefined || this.#search.until !== undefined;
    for (const place of this.#isForward ? places : places.toReversed()) {
      const index = first + place;
      if (index < from || index >= below) continue;
      const bytes = entryAt(this.#db).get(index);
      if (!bytes) {
        if (this.#range.isWhole) throw new MissingEntryError(index);
        continue;
      }
      // The index knows times of several entries together.
      if (!isTimed || this.#matcher.isInTime(bytes.toString('utf8'))) yield { index, bytes };
      else {
        this.#readInVain += 1;
        if (this.#readInVain >= MOST_READ) yield this.#stopBehind(index);
      }
    }
  }

  *#lookUpRefs(ref: string, from: number, below: number): Generator<Step> {
    if (from >= below) return;
    const statement = this.#db.$client.prepare<[string, number, number, number], StoredEntry>(
      `SELECT e.idx AS "index", e.bytes FROM entries_by_ref i CROSS JOIN entries e ON e.idx = i.idx
       WHERE i.ref = ? AND i.idx >= ? AND i.idx < ? ORDER BY i.idx ${this.#order} LIMIT ?`,
    );
    this.#mustBeWhole(from, below);
    let [low, high] = [from, below];
    for (;;) {
      const rows = statement.all(ref, low, high, BATCH);
      yield* this.#matching(rows);
      const last = rows.at(-1);
      if (!last || rows.length < BATCH) return;
      if (this.#isForward) low = last.index + 1;
      else high = last.index;
      this.#readInVain += BATCH;
      if (this.#readInVain >= MOST_READ) yield this.#stopBehind(last.index);
    }
  }

  /** What lies in a part of the log that is not indexed. */
  *#lookThrough(from: number, below: number): Generator<Step> {
    const { columns, values } = this.#columns();
    const statement = this.#db.$client.prepare<(number | string | Buffer)[], StoredEntry>(
      `SELECT idx AS "index", bytes FROM entries WHERE idx >= ? AND idx < ?${columns} ORDER BY idx ${this.#order}`,
    );
    for (let [low, high] = [from, below]; low < high;) {
      const at = this.#isForward ? Math.min(low + BATCH, high) : Math.max(high - BATCH, low);
      const [first, end] = this.#isForward ? [low, at] : [at, high];
      this.#mustBeWhole(first, end);
      yield* this.#matching(statement.all(first, end, ...values));
      if (this.#isForward) low = at;
      else high = at;
      this.#readInVain += end - first;
      if (this.#readInVain >= MOST_READ && low < high) yield { stopAt: at };
    }
  }

  /** Where entries are looked through, nothing else tells that one is missing. These are few. */
  #mustBeWhole(from: number, below: number): void {
    if (this.#range.isWhole) mustHaveAll(indexesOf(this.#db).all(from, below), from, below);
  }

  *#matching(entries: readonly StoredEntry[]): Generator<Step> {
    for (const entry of entries) if (this.#matcher.finds(entry.bytes.toString('utf8'))) yield entry;
  }

  #stopBehind(index: number): Step {
    return { stopAt: this.#isForward ? index + 1 : index };
  }

  get #order(): string {
    return this.#isForward ? 'ASC' : 'DESC';
  }

  /** What entries must meet to be worth reading: most of those that are not found are passed over by SQLite. */
  #columns(): { columns: string; values: (string | Buffer)[] } {
    let columns = '';
    const values: (string | Buffer)[] = [];
    for (const condition of conditionsOf(this.#search)) {
      const [first] = condition;
      if (!first) continue;
      const [field, value] = first;
      const column = COLUMNS[field];
      if (column !== undefined && condition.every((term) => term[0] === field)) {
        columns += ` AND ${column} IN (${condition.map(() => '?').join(', ')})`;
        values.push(...condition.map((term) => term[1]));
      } else if (condition.every((term) => term[1] === value)) {
        // Wherever a term stands in an entry, it is there as JSON has it.
        columns += ' AND instr(bytes, ?) > 0';
        values.push(Buffer.from(JSON.stringify(value)));
      }
    }
    return { columns, values };
  }

  #sources(): Source[] {
    const { direction } = this.#range;
    const sources: Source[] = conditionsOf(this.#search).map(
      (condition) => new ConditionSource(this.#db, direction, this.#effort, condition),
    );
    if (this.#search.since !== undefined || this.#search.until !== undefined)
      sources.push(new TimeSource(this.#db, direction, this.#effort, this.#search));
    return sources;
  }
}

/** A place as near to a wanted one as its bounds allow. */
const between = (least: number, wanted: number, most: number): number =>
  Math.max(least, Math.min(wanted, most));
