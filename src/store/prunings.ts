/** What of the log was archived and pruned. Used by the writer and by readers alike. */
import { asc } from 'drizzle-orm';
import type { Archive } from '../core/audit/retention.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';
import { prunings } from './schema.ts';

export type Pruning = typeof prunings.$inferSelect;

const minimum = prepared((db) =>
  db.$client.prepare<[], number>('SELECT ifnull(max(before), 0) FROM prunings').pluck(),
);

/**
 * The log's minimum index (C2SP tlog-tiles): entries below it are in archives. They count as gone from the commit on that
 * prunes them; their rows follow in steps (remove-pruned.ts).
 */
export const minimumIndex = (db: Db): number => minimum(db).get() as number;

/** All of them, oldest first: each begins where the one before it ended. */
export const readPrunings = (db: Db): Pruning[] =>
  db.select().from(prunings).orderBy(asc(prunings.before)).all();

/** What an entry, and whoever asks for what is gone, is told of an archive. */
export const archiveOf = ({ first, before, exportId, sha256, archivedBy }: Pruning): Archive => ({
  first,
  before,
  export: exportId,
  sha256,
  archivedBy,
});
