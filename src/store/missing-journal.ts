/**
 * A journal that is gone, and with it what only that held. It is noted before a new one is made, and until an entry of the
 * log has said so: a start that fails in between must not hide it from the next one.
 */
import { statSync } from 'node:fs';
import type { Db } from './database.ts';
import { CAPACITY, TAKEN_OVER } from './journal.ts';
import { forgetMeta, readMeta, replaceMeta } from './records.ts';

const MISSING = 'journal_missing';

/** Notes it where the database speaks of a journal that is not there in its full size. */
export function noteMissingJournal(db: Db, path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (readMeta(db, TAKEN_OVER) !== undefined && size < CAPACITY) replaceMeta(db, MISSING, '1');
}

/** Whether that was noted, and no entry has said it yet. */
export const wasJournalMissing = (db: Db): boolean => readMeta(db, MISSING) !== undefined;

/** An entry of the open transaction says it. */
export function missingJournalIsRecorded(db: Db): void {
  forgetMeta(db, MISSING);
}
