/**
 * Finding entries by the id that pairs them. The index follows the log in steps of so many entries: written entry by
 * entry, it would cost each request more than the entries themselves. What is not indexed yet is looked through. What
 * else entries are found by: search-index.ts.
 */
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';

/** Entries that are indexed together, in the commit that completes their number. */
export const STEP = 256;

/** How many of so many entries are indexed: those of whole steps. A step is a full tile of the tree as well. */
export const indexedUpTo = (size: number): number => size - (size % STEP);

/** An entry of the log. */
export interface StoredEntry {
  index: number;
  /** The exact bytes: what was hashed. */
  bytes: Buffer;
}

const fill = prepared((db) =>
  // In the order of the index, so that its pages are written once for all of them.
  db.$client.prepare<[number, number]>(
    `INSERT INTO entries_by_ref (ref, idx) SELECT ref, idx FROM entries
     WHERE idx >= ? AND idx < ? AND ref IS NOT NULL ORDER BY 1, 2`,
  ),
);

/** Brings the index up to the log, in the transaction that made it longer. @param before its size before that */
export function indexRefs(db: Db, before: number, size: number): void {
  const from = indexedUpTo(before);
  const to = indexedUpTo(size);
  if (to > from) fill(db).run(from, to);
}

const indexed = prepared((db) =>
  // CROSS JOIN keeps SQLite from going the other way round.
  db.$client.prepare<[string, number, number, string], StoredEntry>(
    `SELECT e.idx AS "index", e.bytes FROM entries_by_ref i CROSS JOIN entries e ON e.idx = i.idx
     WHERE i.ref = ? AND i.idx >= ? AND i.idx < ? AND e.kind = ? ORDER BY i.idx LIMIT 1`,
  ),
);

const notIndexed = prepared((db) =>
  db.$client.prepare<[number, number, string, string], StoredEntry>(
    `SELECT idx AS "index", bytes FROM entries WHERE idx >= ? AND idx < ? AND ref = ? AND kind = ? ORDER BY idx LIMIT 1`,
  ),
);

/**
 * The first entry of a kind about something.
 *
 * @param log.size as far as the log is to be looked at
 * @param log.committed of that, what is not of a transaction that is still open
 */
export function findByRef(
  db: Db,
  about: { ref: string; kind: string },
  { size, committed }: { size: number; committed: number },
): StoredEntry | undefined {
  const to = indexedUpTo(committed);
  return (
    indexed(db).get(about.ref, 0, to, about.kind) ??
    notIndexed(db).get(to, size, about.ref, about.kind)
  );
}

/** An entry that the log has had is not there. */
export class MissingEntryError extends Error {
  constructor(index: number) {
    super(`Entry ${index} is missing.`);
  }
}

/** @throws MissingEntryError unless these are the entries `from` to `to - 1` */
export function mustHaveAll(found: readonly { index: number }[], from: number, to: number): void {
  for (let index = from; index < to; index += 1)
    if (found[index - from]?.index !== index) throw new MissingEntryError(index);
}

const range = prepared((db) =>
  db.$client.prepare<[number, number], StoredEntry>(
    'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
  ),
);

/** The entries `from` to `to - 1`. */
export const entriesFrom = (db: Db, from: number, to: number): StoredEntry[] =>
  range(db).all(from, to);
