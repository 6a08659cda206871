/**
 * The index that searches of the log go by. It follows the log in steps, and is written in chunks: to write it entry by
 * entry would cost each request more than the entries themselves. What is not indexed yet is looked through
 * (search-entries.ts). Everything in it is read from the bytes of entries, so that it can be made again at any time.
 */
import { committedText, likenessOf, termsOf, type Term } from '../core/audit/entry-terms.ts';
import type { Db } from './database.ts';
import { STEP, indexedUpTo } from './entry-index.ts';
import { CHUNK, encodePlaces } from './postings.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';

const STEPS_OF_CHUNK = CHUNK / STEP;

/**
 * After so much of them, a commit reads no further entries: requests wait for it, some milliseconds. What is left is for the
 * next ones.
 */
const MOST_CHARACTERS = 1_500_000;

const chunksIndexed = prepared((db) =>
  db.$client.prepare<[], number>('SELECT ifnull(max(chunk) + 1, 0) FROM entry_chunks').pluck(),
);

/** Number of entries that the index covers: all before that, and none after it. */
export const coveredUpTo = (db: Db): number => (chunksIndexed(db).get() as number) * CHUNK;

const textsBetween = prepared((db) =>
  // As texts: they cross into JavaScript at half the cost of a Buffer.
  db.$client
    .prepare<[number, number], string>(
      'SELECT CAST(bytes AS TEXT) FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    )
    .pluck(),
);

const insertTerm = prepared((db) =>
  db.$client.prepare<[string, string, number, Buffer]>(
    'INSERT INTO entry_terms (field, value, chunk, places) VALUES (?, ?, ?, ?)',
  ),
);

const insertChunk = prepared((db) =>
  db.$client.prepare<[number, number, number, Buffer]>(
    'INSERT INTO entry_chunks (chunk, least, greatest, times) VALUES (?, ?, ?, ?)',
  ),
);

/** What of pruned entries stays in the index: statements count them for ever. */
export const STAYING_FIELDS: ReadonlySet<string> = new Set(['person', 'run']);

/** Found by an index of their own, which is exact to the step (entry-index.ts). */
const ELSEWHERE = 'ref';

export class SearchIndex {
  readonly #db: Db;
  /** Entries that have been read; undefined until that is known. */
  #read: number | undefined;
  #chunk = new Chunk();

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Goes on with the index, in the transaction that is open.
   *
   * @param size of the log, the open transaction included
   * @returns whether it is behind by more than this
   */
  follow(size: number): boolean {
    this.#read ??= coveredUpTo(this.#db);
    const to = indexedUpTo(size);
    for (let characters = 0; this.#read < to && characters < MOST_CHARACTERS;) {
      const texts = textsBetween(this.#db).all(this.#read, this.#read + STEP);
      this.#chunk.addStep(this.#read % CHUNK, texts);
      for (const { length } of texts) characters += length;
      this.#read += STEP;
      if (this.#read % CHUNK === 0) this.#write(this.#read / CHUNK - 1);
    }
    return to > this.#read;
  }

  /** What was read may have been undone: it is read again. */
  forget(): void {
    this.#read = undefined;
    this.#chunk = new Chunk();
  }

  #write(chunk: number): void {
    const { terms, times } = this.#chunk;
    const insert = insertTerm(this.#db);
    // What was pruned since it was read.
    const least = minimumIndex(this.#db) - chunk * CHUNK;
    for (const { term, places } of terms()) {
      const isCut = least > 0 && !STAYING_FIELDS.has(term[0]);
      const left = isCut ? places.filter((place) => place >= least) : places;
      if (left.length > 0) insert.run(term[0], term[1], chunk, encodePlaces(left));
    }
    const bytes = Buffer.from(times.buffer);
    insertChunk(this.#db).run(chunk, Math.min(...times), Math.max(...times), bytes);
    this.#chunk = new Chunk();
  }
}

interface Posting {
  term: Term;
  places: number[];
}

/** What is known of a chunk that is not complete. */
class Chunk {
  /** Of each step, the least and the greatest time. */
  readonly times = new Float64Array(STEPS_OF_CHUNK * 2);
  readonly #postings = new Map<string, Map<string, Posting>>();
  /** The same, by what entries of requests have in common: there are few such entries that differ. */
  readonly #alike = new Map<string, Map<string, Posting[]>>();

  /** @param first place of the step in the chunk */
  addStep(first: number, texts: readonly string[]): void {
    // All of a step is pruned, or nothing: nothing is looked for there, whatever its time.
    if (texts.length === 0) return;
    let least = committedText(texts[0] ?? '');
    let greatest = least;
    for (const [i, text] of texts.entries()) {
      for (const { places } of this.#postingsOf(text)) places.push(first + i);
      const at = committedText(text);
      if (at < least) least = at;
      if (at > greatest) greatest = at;
    }
    this.times.set([Date.parse(least), Date.parse(greatest)], (first / STEP) * 2);
  }

  readonly terms = (): Posting[] => [...this.#postings.values()].flatMap((of) => [...of.values()]);

  #postingsOf(text: string): Posting[] {
    const like = likenessOf(text);
    if (!like) return this.#find(termsOf(text));
    const alike = inside(this.#alike, like.group);
    let postings = alike.get(like.key);
    if (!postings) alike.set(like.key, (postings = this.#find(termsOf(text))));
    return postings;
  }

  #find(terms: readonly Term[]): Posting[] {
    const found: Posting[] = [];
    for (const term of terms) {
      const [field, value] = term;
      if (field === ELSEWHERE) continue;
      const postings = inside(this.#postings, field);
      let posting = postings.get(value);
      if (!posting) postings.set(value, (posting = { term, places: [] }));
      found.push(posting);
    }
    return found;
  }
}

/** The map of a key; it begins when it is looked for. */
function inside<T>(maps: Map<string, Map<string, T>>, key: string): Map<string, T> {
  let map = maps.get(key);
  if (!map) maps.set(key, (map = new Map()));
  return map;
}
