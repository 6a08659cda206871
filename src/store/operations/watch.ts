/** What we sign of logs that we watch, and what we keep of what they show us. */
import { and, count, desc, eq, gt, lte } from 'drizzle-orm';
import type { EntryDraft } from '../../core/audit/entry.ts';
import { parseNote } from '../../core/audit/note.ts';
import {
  compareCheckpoints,
  seenCheckpoint,
  type SeenCheckpoint,
  type SplitView,
} from '../../core/audit/split-view.ts';
import { decideWatch, type WatchDecision } from '../../core/audit/watching.ts';
import type { WriterContext } from '../context.ts';
import { shownCheckpoints, watchedLogs } from '../schema.ts';
import { readShown, readWatched, type WatchedRow } from '../witness-rows.ts';
import type { Operation } from './operation.ts';
import { keepEvidence, toEvidence, type SplitViewTold } from './split-views.ts';

/** A witness is asked to cosign. */
export interface WatchArgs {
  /** A checkpoint of the log, with the signatures of its keys alone, found good. */
  note: string;
  old: number;
  /** Hashes in base64. */
  proof: string[];
  /** Most entries that say that all is well are so far apart, milliseconds; and those of refusals are counted for as long. */
  recordEveryMs: number;
  told: SplitViewTold;
}

export type WatchResult =
  | { verdict: 'cosign'; text: string }
  | { verdict: 'conflict'; size: number }
  | { verdict: 'inconsistent' };

/** Refusals of one log that come to stand in ours within `recordEveryMs`: whoever saw checkpoints can send them to us. */
const MOST_REFUSALS = 30;

/** Checkpoints that are remembered of a log. */
const MOST_SHOWN = 1_000;

const BROKER: EntryDraft['actor'] = { system: 'broker' };

/**
 * Decides on a checkpoint of a log that we watch, and keeps it where it is to be cosigned: with what the same
 * transaction reads, so that of two at the same time the second one finds what the first one left. The cosignature is
 * made when this is durable: a crash before it leaves a checkpoint that the log asks for once more.
 */
export const watchCheckpoint: Operation<WatchArgs, WatchResult> = {
  run(context, args) {
    const seen = seenCheckpoint(args.note);
    const row = readWatched(context.db, seen.origin);
    const proof = args.proof.map((line) => Buffer.from(line, 'base64'));
    const known = row && seenCheckpoint(row.note);
    const decision = decideWatch(known, { ...seen, old: args.old, proof });
    const isCosigned = decision.verdict === 'cosign';
    const splitView = splitViewOf(context, seen, decision);
    const found = splitView && keepEvidence(context, toEvidence(splitView), args.told);
    // What is proven to be of another history is kept as that, and by nothing else.
    if (!splitView || isCosigned) remember(context, args, seen, isCosigned);
    if (isCosigned) {
      if (decision.isNew) advance(context, args, row, seen, found?.isNew === true);
      return { verdict: 'cosign', text: parseNote(args.note).text };
    }
    if (row && !splitView) {
      if (decision.verdict === 'inconsistent') noteRefused(context, args, row, 'proof', seen);
      else if (seen.size < row.size) noteRefused(context, args, row, 'smaller', seen);
    }
    return decision.verdict === 'conflict'
      ? { verdict: 'conflict', size: decision.size }
      : { verdict: 'inconsistent' };
  },
};

/** What proves that the log has two histories: by what we cosigned, or by what it showed before at the same size. */
function splitViewOf(
  { db }: WriterContext,
  seen: SeenCheckpoint,
  decision: WatchDecision,
): SplitView | undefined {
  if ('splitView' in decision && decision.splitView) return decision.splitView;
  const before = readShown(db, seen.origin, seen.size);
  const compared = before && compareCheckpoints(seenCheckpoint(before.note), seen, undefined);
  return compared?.verdict === 'split' ? compared.evidence : undefined;
}

/** Remembers a checkpoint, if it is the first one of its size. */
function remember(
  { db }: WriterContext,
  { told: { at } }: WatchArgs,
  { origin, size, root, note }: SeenCheckpoint,
  isCosigned: boolean,
): void {
  const isNew = readShown(db, origin, size) === undefined;
  if (!isNew && !isCosigned) return;
  db.insert(shownCheckpoints)
    .values({ origin, size, root, note, at, isCosigned })
    .onConflictDoUpdate({
      target: [shownCheckpoints.origin, shownCheckpoints.size],
      set: { root, note, isCosigned },
    })
    .run();
  if (!isNew) return;
  const ofLog = eq(shownCheckpoints.origin, origin);
  const oldest = db
    .select({ at: shownCheckpoints.at })
    .from(shownCheckpoints)
    .where(ofLog)
    .orderBy(desc(shownCheckpoints.at))
    .limit(1)
    .offset(MOST_SHOWN)
    .get();
  if (oldest)
    db.delete(shownCheckpoints)
      .where(and(ofLog, lte(shownCheckpoints.at, oldest.at)))
      .run();
}

/** Moves on to a larger checkpoint. Says so when it is the first, and then from time to time. */
function advance(
  context: WriterContext,
  { recordEveryMs, told }: WatchArgs,
  row: WatchedRow | undefined,
  { note, origin, size, root }: SeenCheckpoint,
  hasEntry: boolean,
): void {
  const { at, entryId: id, labId: lab } = told;
  const isTold = hasEntry || (row !== undefined && at - row.recordedAt < recordEveryMs);
  const values = { size, root, note, at, recordedAt: isTold ? (row?.recordedAt ?? 0) : at };
  context.db
    .insert(watchedLogs)
    .values({ origin, ...values })
    .onConflictDoUpdate({ target: watchedLogs.origin, set: values })
    .run();
  if (isTold) return;
  const data = { from: row?.size ?? 0, size, checkpoint: note };
  context.append({ id, kind: 'log.watched', at, actor: BROKER, ref: origin, lab, data });
}

/**
 * Says that a checkpoint was not cosigned, once of each, and of so many in a time. It accuses nobody: whoever saw two
 * checkpoints of a log can send us the older one, or either with a wrong proof. Nobody is told.
 */
function noteRefused(
  context: WriterContext,
  { recordEveryMs, told, proof }: WatchArgs,
  row: WatchedRow,
  why: 'smaller' | 'proof',
  { note, size }: SeenCheckpoint,
): void {
  const { at, entryId: id, labId: lab } = told;
  const { origin } = row;
  const { db } = context;
  const shown = readShown(db, origin, size);
  // One that we cosigned is in no doubt, whoever sends it again.
  if (!shown || shown.isCosigned || shown.refusedAt !== null) return;
  const ofLog = eq(shownCheckpoints.origin, origin);
  const lately = db
    .select({ refusals: count() })
    .from(shownCheckpoints)
    .where(and(ofLog, gt(shownCheckpoints.refusedAt, at - recordEveryMs)))
    .get();
  if ((lately?.refusals ?? 0) >= MOST_REFUSALS) return;
  db.update(shownCheckpoints)
    .set({ refusedAt: at })
    .where(and(ofLog, eq(shownCheckpoints.size, size)))
    .run();
  context.append({
    id,
    kind: 'log.checkpoint_refused',
    at,
    actor: BROKER,
    ref: origin,
    lab,
    data: {
      why,
      size,
      known: row.size,
      checkpoint: note,
      knownCheckpoint: row.note,
      proof: why === 'proof' ? proof : undefined,
    },
  });
}
