/** Reads the keys that have signed checkpoints. Used by the writer and by readers alike. */
import { asc } from 'drizzle-orm';
import type { KeyRange } from '../core/audit/key-history.ts';
import type { Db } from './database.ts';
import { logKeys } from './schema.ts';

export type LogKeyRow = typeof logKeys.$inferSelect;

/** Oldest first. */
export function readLogKeys(db: Db): LogKeyRow[] {
  return db.select().from(logKeys).orderBy(asc(logKeys.after)).all();
}

/** For which sizes each of them signs. @param rows oldest first */
export function rangesOf(rows: readonly LogKeyRow[]): KeyRange[] {
  return rows.map(({ verifierKey, after }, i) => ({
    verifierKey,
    after,
    upTo: rows[i + 1]?.after ?? Infinity,
  }));
}

/** Notes down the first key of a log, when it begins or when a version opens it that did not keep count of keys. */
export function adoptFirstLogKey(db: Db, verifierKey: string, file: string, at: number): void {
  db.insert(logKeys).values({ verifierKey, file, after: -1, at }).run();
}
