/** Reads what witnesses signed, the logs that we watch, and split views. Used by the writer and by readers alike. */
import { and, asc, desc, eq, inArray, lt, lte, max, or, sql } from 'drizzle-orm';
import { isEnough, type WitnessPolicy } from '../core/audit/witnessing.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { checkpoints, cosignatures, shownCheckpoints, splitViews, watchedLogs } from './schema.ts';

export type CheckpointRow = typeof checkpoints.$inferSelect;
export type CosignatureRow = typeof cosignatures.$inferSelect;
export type WatchedRow = typeof watchedLogs.$inferSelect;
export type ShownRow = typeof shownCheckpoints.$inferSelect;
export type SplitViewRow = typeof splitViews.$inferSelect;

/** Sizes that are read at once while one is looked for that enough witnesses cosigned. */
const LOOKED_AT_ONCE = 256;

/** A checkpoint with all the cosignatures that there are of it. */
export function withCosignatures(db: Db, checkpoint: CheckpointRow): CheckpointRow {
  const lines = db
    .select({ line: cosignatures.line })
    .from(cosignatures)
    .where(eq(cosignatures.size, checkpoint.size))
    .orderBy(asc(cosignatures.at), asc(cosignatures.witnessKey))
    .all();
  return { ...checkpoint, note: checkpoint.note + lines.map(({ line }) => line).join('') };
}

/** The newest checkpoint that counts as witnessed. Looks through all cosignatures that are kept, newest first. */
export function newestWitnessed(db: Db, policy: WitnessPolicy): CheckpointRow | undefined {
  const size = newestWitnessedSize(db, policy);
  const row = size === undefined ? undefined : readCheckpoint(db, size);
  return row && withCosignatures(db, row);
}

/** How many entries the newest witnessed checkpoint has. */
export function newestWitnessedSize(
  db: Db,
  { witnesses, quorum }: WitnessPolicy,
): number | undefined {
  const nameOf = new Map(witnesses.map(({ name, verifierKey }) => [verifierKey, name]));
  if (nameOf.size === 0) return undefined;
  const keys = [...nameOf.keys()];
  for (
    let below = Number.MAX_SAFE_INTEGER, page;
    (page = signedBelow(db, keys, below)).length > 0;
  ) {
    for (const { size, by } of page) {
      const names = by.split(' ').flatMap((key) => nameOf.get(key) ?? []);
      if (isEnough(quorum, new Set(names))) return size;
      below = size;
    }
  }
  return undefined;
}

/** Who of these signed checkpoints smaller than this, largest first; a page of them. */
function signedBelow(
  db: Db,
  keys: readonly string[],
  below: number,
): { size: number; by: string }[] {
  return (
    db
      // No key has a space in it.
      .select({
        size: cosignatures.size,
        by: sql<string>`group_concat(${cosignatures.witnessKey}, ' ')`,
      })
      .from(cosignatures)
      .where(and(lt(cosignatures.size, below), inArray(cosignatures.witnessKey, [...keys])))
      .groupBy(cosignatures.size)
      .orderBy(desc(cosignatures.size))
      .limit(LOOKED_AT_ONCE)
      .all()
  );
}

function readCheckpoint(db: Db, size: number): CheckpointRow | undefined {
  return db.select().from(checkpoints).where(eq(checkpoints.size, size)).get();
}

/** The newest cosignature of a witness. */
export function lastCosignature(db: Db, witnessKey: string): CosignatureRow | undefined {
  const newest = db
    .select({ size: max(cosignatures.size) })
    .from(cosignatures)
    .where(eq(cosignatures.witnessKey, witnessKey))
    .get()?.size;
  if (newest === null || newest === undefined) return undefined;
  return db
    .select()
    .from(cosignatures)
    .where(and(eq(cosignatures.witnessKey, witnessKey), eq(cosignatures.size, newest)))
    .get();
}

/** The newest checkpoint of at most so many entries. */
export function checkpointUpTo(db: Db, size: number): CheckpointRow | undefined {
  return db
    .select()
    .from(checkpoints)
    .where(size === Infinity ? undefined : lte(checkpoints.size, size))
    .orderBy(desc(checkpoints.size))
    .limit(1)
    .get();
}

export function readWatched(db: Db, origin: string): WatchedRow | undefined {
  return db.select().from(watchedLogs).where(eq(watchedLogs.origin, origin)).get();
}

/** The first checkpoint of that size that a log that we watch showed us. */
export function readShown(db: Db, origin: string, size: number): ShownRow | undefined {
  return db
    .select()
    .from(shownCheckpoints)
    .where(and(eq(shownCheckpoints.origin, origin), eq(shownCheckpoints.size, size)))
    .get();
}

export interface SplitViewFilter {
  /** Only of this log, and of those of this lab. */
  visibleTo?: { origin: string; labId: string } | undefined;
}

/** Newest first. */
export function listSplitViews(
  db: Db,
  { after, limit }: PageRequest,
  { visibleTo }: SplitViewFilter,
): SplitViewRow[] {
  return db
    .select()
    .from(splitViews)
    .where(
      and(
        maybe(after, (id) => lt(splitViews.id, id)),
        maybe(visibleTo, ({ origin, labId }) =>
          or(eq(splitViews.origin, origin), eq(splitViews.labId, labId)),
        ),
      ),
    )
    .orderBy(desc(splitViews.id))
    .limit(limit)
    .all();
}
