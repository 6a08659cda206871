/** What a search goes from chunk to chunk by: rows of the index, and what they have in common. */
import type { Condition } from '../core/audit/entry-search.ts';
import type { Term } from '../core/audit/entry-terms.ts';
import type { Db } from './database.ts';
import { STEP } from './entry-index.ts';
import {
  CHUNK,
  addPlaces,
  allPlaces,
  keepCommon,
  mark,
  markRange,
  noPlaces,
  type Bits,
} from './postings.ts';
import { prepared } from './prepared.ts';

/** Which way a search goes through the log. */
export type Direction = 'oldest first' | 'newest first';

/** Counts what a search looks up, so that no page takes longer than another. */
export interface Effort {
  lookUps: number;
}

interface TermRow {
  chunk: number;
  places: Buffer;
}

const termRow = {
  'oldest first': prepared((db) =>
    db.$client.prepare<[string, string, number, number], TermRow>(
      'SELECT chunk, places FROM entry_terms WHERE field = ? AND value = ? AND chunk >= ? ORDER BY chunk LIMIT ?',
    ),
  ),
  'newest first': prepared((db) =>
    db.$client.prepare<[string, string, number, number], TermRow>(
      'SELECT chunk, places FROM entry_terms WHERE field = ? AND value = ? AND chunk <= ? ORDER BY chunk DESC LIMIT ?',
    ),
  ),
};

const nextRef = {
  'oldest first': prepared((db) =>
    db.$client
      .prepare<[string, number], number>(
        'SELECT idx FROM entries_by_ref WHERE ref = ? AND idx >= ? ORDER BY idx LIMIT 1',
      )
      .pluck(),
  ),
  'newest first': prepared((db) =>
    db.$client
      .prepare<[string, number], number>(
        'SELECT idx FROM entries_by_ref WHERE ref = ? AND idx <= ? ORDER BY idx DESC LIMIT 1',
      )
      .pluck(),
  ),
};

const refsOfChunk = prepared((db) =>
  db.$client
    .prepare<[string, number, number], number>(
      'SELECT idx FROM entries_by_ref WHERE ref = ? AND idx >= ? AND idx < ?',
    )
    .pluck(),
);

interface TimesRow {
  chunk: number;
  times: Buffer;
}

const timesRow = {
  'oldest first': prepared((db) =>
    db.$client.prepare<[number, number, number, number], TimesRow>(
      `SELECT chunk, times FROM entry_chunks WHERE chunk >= ? AND greatest >= ? AND least < ?
       ORDER BY chunk LIMIT ?`,
    ),
  ),
  'newest first': prepared((db) =>
    db.$client.prepare<[number, number, number, number], TimesRow>(
      `SELECT chunk, times FROM entry_chunks WHERE chunk <= ? AND greatest >= ? AND least < ?
       ORDER BY chunk DESC LIMIT ?`,
    ),
  ),
};

/** Chunks that hold something that is looked for. */
export interface Source {
  /** The next chunk in the direction of the search that does, this one included; undefined: no more. */
  seek(chunk: number): number | undefined;
  /** Its places in a chunk that {@link seek} gave last. */
  places(chunk: number): Bits;
}

/** Rows that are read at once at most: to read the next one costs a fifth of looking one up. */
const MOST_AT_ONCE = 64;

abstract class Rows<R extends { chunk: number }> {
  #rows: R[] = [];
  #at = 0;
  /** How many are read the next time: the more the fewer were read in vain. */
  #atOnce = 1;
  #isExhausted = false;
  readonly #forward: boolean;
  readonly #effort: Effort;

  constructor(direction: Direction, effort: Effort) {
    this.#forward = direction === 'oldest first';
    this.#effort = effort;
  }

  /** The row of a chunk, or of the next one that has any. A search goes one way, and so do its calls of this. */
  protected row(chunk: number): R | undefined {
    while (this.#at < this.#rows.length && this.#isPast(this.#rows[this.#at] as R, chunk))
      this.#at += 1;
    if (this.#at < this.#rows.length || this.#isExhausted) return this.#rows[this.#at];
    this.#rows = this.find(chunk, this.#atOnce);
    this.#effort.lookUps += Math.max(1, this.#rows.length);
    this.#isExhausted = this.#rows.length < this.#atOnce;
    this.#atOnce = Math.min(this.#atOnce * 2, MOST_AT_ONCE);
    this.#at = 0;
    return this.#rows[0];
  }

  #isPast(row: R, chunk: number): boolean {
    return this.#forward ? row.chunk < chunk : row.chunk > chunk;
  }

  /** The rows of a chunk and of those behind it, so many at most. */
  protected abstract find(chunk: number, atOnce: number): R[];
}

/** Entries with a term. */
class TermSource extends Rows<TermRow> {
  readonly #find: (chunk: number, atOnce: number) => TermRow[];

  constructor(db: Db, direction: Direction, effort: Effort, [field, value]: Term) {
    super(direction, effort);
    const statement = termRow[direction](db);
    this.#find = (chunk, atOnce) => statement.all(field, value, chunk, atOnce);
  }

  seek(chunk: number): number | undefined {
    return this.row(chunk)?.chunk;
  }

  add(bits: Bits, chunk: number): void {
    const row = this.row(chunk);
    if (row?.chunk === chunk) addPlaces(bits, row.places);
  }

  protected find(chunk: number, atOnce: number): TermRow[] {
    return this.#find(chunk, atOnce);
  }
}

/** Entries that are paired by an id. */
class RefSource extends Rows<{ chunk: number }> {
  readonly #db: Db;
  readonly #ref: string;
  readonly #ahead: number;
  readonly #find: (chunk: number) => number | undefined;

  constructor(db: Db, direction: Direction, effort: Effort, ref: string) {
    super(direction, effort);
    this.#db = db;
    this.#ref = ref;
    const statement = nextRef[direction](db);
    const end = direction === 'oldest first' ? 0 : CHUNK - 1;
    this.#ahead = direction === 'oldest first' ? 1 : -1;
    this.#find = (chunk) => statement.get(ref, chunk * CHUNK + end);
  }

  seek(chunk: number): number | undefined {
    return this.row(chunk)?.chunk;
  }

  add(bits: Bits, chunk: number): void {
    if (this.row(chunk)?.chunk !== chunk) return;
    const first = chunk * CHUNK;
    for (const index of refsOfChunk(this.#db).all(this.#ref, first, first + CHUNK))
      mark(bits, index - first);
  }

  protected find(start: number, atOnce: number): { chunk: number }[] {
    const rows: { chunk: number }[] = [];
    for (let chunk = start; rows.length < atOnce;) {
      const index = this.#find(chunk);
      if (index === undefined) break;
      const found = Math.floor(index / CHUNK);
      rows.push({ chunk: found });
      chunk = found + this.#ahead;
    }
    return rows;
  }
}

/** Entries for which a condition holds: with any of its terms. */
export class ConditionSource implements Source {
  readonly #terms: (TermSource | RefSource)[];
  readonly #nearest: (...chunks: number[]) => number;

  constructor(db: Db, direction: Direction, effort: Effort, condition: Condition) {
    this.#terms = condition.map((term) =>
      term[0] === 'ref'
        ? new RefSource(db, direction, effort, term[1])
        : new TermSource(db, direction, effort, term),
    );
    this.#nearest = direction === 'oldest first' ? Math.min : Math.max;
  }

  seek(chunk: number): number | undefined {
    const next = this.#terms.flatMap((term) => term.seek(chunk) ?? []);
    return next.length === 0 ? undefined : this.#nearest(...next);
  }

  places(chunk: number): Bits {
    const bits = noPlaces();
    for (const term of this.#terms) term.add(bits, chunk);
    return bits;
  }
}

/** Entries that the log may have taken between two moments: which of them, is to be looked at. */
export class TimeSource extends Rows<TimesRow> implements Source {
  readonly #find: (chunk: number, atOnce: number) => TimesRow[];
  readonly #since: number;
  readonly #until: number;

  constructor(
    db: Db,
    direction: Direction,
    effort: Effort,
    {
      since = -Infinity,
      until = Infinity,
    }: { since?: number | undefined; until?: number | undefined },
  ) {
    super(direction, effort);
    this.#since = since;
    this.#until = until;
    const statement = timesRow[direction](db);
    this.#find = (chunk, atOnce) => statement.all(chunk, since, until, atOnce);
  }

  seek(chunk: number): number | undefined {
    return this.row(chunk)?.chunk;
  }

  places(chunk: number): Bits {
    const bits = noPlaces();
    const row = this.row(chunk);
    if (row?.chunk !== chunk) return bits;
    for (let step = 0; step < CHUNK / STEP; step += 1) {
      const least = row.times.readDoubleLE(step * 16);
      const greatest = row.times.readDoubleLE(step * 16 + 8);
      if (greatest >= this.#since && least < this.#until)
        markRange(bits, step * STEP, (step + 1) * STEP);
    }
    return bits;
  }

  protected find(chunk: number, atOnce: number): TimesRow[] {
    return this.#find(chunk, atOnce);
  }
}

/** Which chunks are gone through, and when that is enough. */
export interface ChunkRange {
  direction: Direction;
  first: number;
  last: number;
  isTooMuch: () => boolean;
}

/**
 * The chunks in which all sources have places in common, with those places. Where it becomes too much, the chunk to go on
 * with, without places, and nothing more.
 */
export function* nextCommon(
  sources: readonly Source[],
  { direction, first, last, isTooMuch }: ChunkRange,
): Generator<{ chunk: number; bits?: Bits }> {
  const ahead = direction === 'oldest first' ? 1 : -1;
  const isWithin = (chunk: number): boolean => chunk >= first && chunk <= last;
  for (let chunk = ahead === 1 ? first : last; isWithin(chunk); chunk += ahead) {
    for (let agreed = 0; agreed < sources.length;) {
      if (isTooMuch()) {
        // Up to there, no chunk has places of all.
        yield { chunk };
        return;
      }
      const next = sources[agreed]?.seek(chunk);
      if (next === undefined || !isWithin(next)) return;
      agreed = next === chunk ? agreed + 1 : 0;
      chunk = next;
    }
    const bits = allPlaces();
    for (const source of sources) keepCommon(bits, source.places(chunk));
    if (bits.some((word) => word !== 0)) yield { chunk, bits };
  }
}
