/**
 * Finding entries by what they are about. The indexes follow the log in steps of so many entries: written entry by
 * entry, they would cost each request more than the entries themselves. What is not indexed yet is looked through.
 */
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';

/** Entries that are indexed together, in the commit that completes their number. */
const STEP = 256;

/** How many of so many entries are indexed: those of whole steps. A step is a full tile of the tree as well. */
export const indexedUpTo = (size: number): number => size - (size % STEP);

/** Most entries are of these kinds: to look through the log finds them as fast as an index. */
const FREQUENT = ['request.intent', 'request.outcome'];

/**
 * What entries are found by: the column, and the table that leads from its values to places in the log. Those that
 * lead to the fewest come first.
 */
const INDEXES = [
  { column: 'ref', table: 'entries_by_ref' },
  { column: 'kind', table: 'entries_by_kind' },
  { column: 'person_id', table: 'entries_by_person' },
  { column: 'grant_id', table: 'entries_by_grant' },
  { column: 'lab_id', table: 'entries_by_lab' },
] as const;

type Column = (typeof INDEXES)[number]['column'];

/** An entry of the log. */
export interface StoredEntry {
  index: number;
  /** The exact bytes: what was hashed. */
  bytes: Buffer;
}

const fill = prepared((db) =>
  // In the order of each index, so that its pages are written once for all of them.
  INDEXES.map(({ column, table }) => {
    const which =
      column === 'kind'
        ? `NOT IN (${FREQUENT.map((kind) => `'${kind}'`).join(', ')})`
        : 'IS NOT NULL';
    return db.$client.prepare<[number, number]>(
      `INSERT INTO ${table} (${column}, idx) SELECT ${column}, idx FROM entries
       WHERE idx >= ? AND idx < ? AND ${column} ${which} ORDER BY 1, 2`,
    );
  }),
);

/** Brings the indexes up to the log, in the transaction that made it longer. @param before its size before that */
export function indexEntries(db: Db, before: number, size: number): void {
  const from = indexedUpTo(before);
  const to = indexedUpTo(size);
  if (to > from) for (const statement of fill(db)) statement.run(from, to);
}

export type EntryColumns = Partial<Record<Column, string | undefined>>;

/**
 * Entries that are about all that is asked for, in the order of the log.
 *
 * @param range.size of the log, as far as it is to be looked at
 * @param range.committed of that, what is not of a transaction that is still open: all, where nothing is said
 */
export function findEntries(
  db: Db,
  about: EntryColumns,
  {
    from,
    limit,
    size,
    committed = size,
  }: { from: number; limit: number; size: number; committed?: number },
): StoredEntry[] {
  const asked = INDEXES.filter(({ column }) => about[column] !== undefined);
  const values = asked.map(({ column }) => about[column] as string);
  const same = asked.map(({ column }) => ` AND e.${column} = ?`).join('');
  const index = asked.find(({ column }) => !FREQUENT.includes(about[column] as string));
  const indexed = indexedUpTo(committed);
  const found: StoredEntry[] = [];
  if (index && from < indexed) {
    // CROSS JOIN keeps SQLite from going the other way round.
    const statement = db.$client.prepare<(string | number)[], StoredEntry>(
      `SELECT e.idx AS "index", e.bytes FROM ${index.table} i CROSS JOIN entries e ON e.idx = i.idx
       WHERE i.${index.column} = ? AND i.idx >= ? AND i.idx < ?${same} ORDER BY i.idx LIMIT ?`,
    );
    const value = about[index.column] as string;
    found.push(...statement.all(value, from, indexed, ...values, limit));
  }
  if (found.length === limit) return found;
  const statement = db.$client.prepare<(string | number)[], StoredEntry>(
    `SELECT e.idx AS "index", e.bytes FROM entries e WHERE e.idx >= ? AND e.idx < ?${same}
     ORDER BY e.idx LIMIT ?`,
  );
  const unindexed = index ? Math.max(from, indexed) : from;
  found.push(...statement.all(unindexed, size, ...values, limit - found.length));
  return found;
}

const range = prepared((db) =>
  db.$client.prepare<[number, number], StoredEntry>(
    'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
  ),
);

/** The entries `from` to `to - 1`. */
export const entriesFrom = (db: Db, from: number, to: number): StoredEntry[] =>
  range(db).all(from, to);
