/** How far the log has been forwarded, and what is to be forwarded next. */
import type { Db } from './database.ts';
import type { StoredEntry } from './entry-index.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';
import { forwardCursors } from './schema.ts';

/** Entries that are looked at for a batch, those of other kinds included. */
const LOOKED_AT = 2_048;

export interface ForwardBatch {
  /** In the order of the log, one at least where there is any. */
  entries: StoredEntry[];
  /** The first entry behind what was looked at. */
  next: number;
  /** Entries that the log no longer holds, between the cursor and the first one that was looked at. */
  missing: number;
}

/** Where each receiver stands: the first entry that it may not have. */
export function readForwardCursors(db: Db): Map<string, number> {
  const rows = db.select().from(forwardCursors).all();
  return new Map(rows.map(({ receiver, next }) => [receiver, next]));
}

/** Notes where receivers stand, in the transaction that is open. */
export function writeForwardCursors(
  db: Db,
  cursors: readonly { receiver: string; next: number }[],
  at: number,
): void {
  for (const { receiver, next } of cursors)
    db.insert(forwardCursors)
      .values({ receiver, next, updatedAt: at })
      .onConflictDoUpdate({ target: forwardCursors.receiver, set: { next, updatedAt: at } })
      .run();
}

const from = prepared((db) =>
  db.$client.prepare<[number, number, number], { index: number; kind: string; bytes: Buffer }>(
    'SELECT idx AS "index", kind, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?',
  ),
);

const firstFrom = prepared((db) =>
  db.$client
    .prepare<[number], number>('SELECT idx FROM entries WHERE idx >= ? ORDER BY idx LIMIT 1')
    .pluck(),
);

/**
 * What comes next for a receiver.
 *
 * @param most.entries and `most.bytes` of a batch; one entry may be larger
 */
export function readForwardBatch(
  db: Db,
  start: number,
  isForIt: (kind: string) => boolean,
  most: { entries: number; bytes: number },
): ForwardBatch {
  const first = firstFrom(db).get(Math.max(start, minimumIndex(db)));
  if (first === undefined) return { entries: [], next: start, missing: 0 };
  const batch: ForwardBatch = { entries: [], next: first, missing: first - start };
  let bytes = 0;
  for (let looked = 0; looked < LOOKED_AT;) {
    const rows = from(db).all(batch.next, first + LOOKED_AT, 256);
    for (const { index, kind, bytes: entry } of rows) {
      const isOne = isForIt(kind);
      if (isOne && batch.entries.length > 0 && bytes + entry.length > most.bytes) return batch;
      batch.next = index + 1;
      if (!isOne) continue;
      batch.entries.push({ index, bytes: entry });
      bytes += entry.length;
      if (batch.entries.length === most.entries) return batch;
    }
    if (rows.length === 0) return batch;
    looked += rows.length;
  }
  return batch;
}
