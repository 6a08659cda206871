/** What witnesses signed of our log, and what we sign of others'. */
import { eq } from 'drizzle-orm';
import type { EntryDraft } from '../../core/audit/entry.ts';
import { parseNote } from '../../core/audit/note.ts';
import { seenCheckpoint, type SeenCheckpoint } from '../../core/audit/split-view.ts';
import { decideWatch } from '../../core/audit/watching.ts';
import type { NoticeDraft } from '../../core/notices.ts';
import type { WriterContext } from '../context.ts';
import { notify } from '../notify.ts';
import { checkpoints, cosignatures, watchedLogs } from '../schema.ts';
import { readWatched, type WatchedRow } from '../witness-rows.ts';
import type { Operation } from './operation.ts';
import { keepEvidence, toEvidence, type SplitViewTold } from './split-views.ts';

/** Cosignatures of one checkpoint that were found good. Without an entry: two logs that watch each other would never rest. */
export const keepCosignature: Operation<
  {
    size: number;
    /** The signed text that it is of: a checkpoint of that size, and no other. */
    text: string;
    witnessKey: string;
    line: string;
    signedAt: number;
    at: number;
  },
  { isKept: boolean }
> = {
  run({ db }, { text, ...cosignature }) {
    const { size } = cosignature;
    const row = db.select().from(checkpoints).where(eq(checkpoints.size, size)).get();
    if (!row?.note.startsWith(`${text}\n`)) return { isKept: false };
    const { line, signedAt, at } = cosignature;
    db.insert(cosignatures)
      .values(cosignature)
      .onConflictDoUpdate({
        target: [cosignatures.size, cosignatures.witnessKey],
        set: { line, signedAt, at },
      })
      .run();
    return { isKept: true };
  },
};

/** A witness is asked to cosign. */
export interface WatchArgs {
  /** A checkpoint of the log, its signature found good. */
  note: string;
  old: number;
  /** Hashes in base64. */
  proof: string[];
  /** Most entries that say that all is well are so far apart, milliseconds; and those that say that one was refused. */
  recordEveryMs: number;
  told: SplitViewTold;
}

export type WatchResult =
  | { verdict: 'cosign'; text: string }
  | { verdict: 'conflict'; size: number }
  | { verdict: 'inconsistent' };

/**
 * Decides on a checkpoint of a log that we watch, and keeps it where it is to be cosigned: with what the same
 * transaction reads, so that of two at the same time the second one finds what the first one left. The cosignature is
 * made when this is durable: a crash before it leaves a checkpoint that the log asks for once more.
 */
export const watchCheckpoint: Operation<WatchArgs, WatchResult> = {
  run(context, { note, old, proof: lines, recordEveryMs, told }) {
    const { db } = context;
    const seen = seenCheckpoint(note);
    const row = readWatched(db, seen.origin);
    const known = row && seenCheckpoint(row.note);
    const proof = lines.map((line) => Buffer.from(line, 'base64'));
    const decision = decideWatch(known, { ...seen, old, proof });
    const step = { row, recordEveryMs, told };
    if (decision.verdict === 'cosign') {
      if (decision.isNew) advance(context, step, seen);
      return { verdict: 'cosign', text: parseNote(note).text };
    }
    if (decision.splitView) keepEvidence(context, toEvidence(decision.splitView), told);
    else if (row && decision.verdict === 'inconsistent')
      noteRefused(context, { ...step, row }, 'proof', seen);
    else if (row && seen.size < row.size) noteRefused(context, { ...step, row }, 'smaller', seen);
    return decision.verdict === 'conflict'
      ? { verdict: 'conflict', size: decision.size }
      : { verdict: 'inconsistent' };
  },
};

/** A witness knows more of our log than we do: what we have is an older copy. */
export const noteBehind: Operation<
  {
    entryId: string;
    at: number;
    witness: string;
    verifierKey: string;
    /** What it says that it cosigned. */
    size: number;
    to: NoticeDraft['to'];
  },
  void
> = {
  run(context, { entryId: id, at, witness, verifierKey, size, to }) {
    const { origin } = context.log;
    const data = { witness, verifierKey, known: size, size: context.size };
    context.append({ id, kind: 'log.behind', at, actor: BROKER, ref: origin, data });
    notify(context, {
      kind: 'log.behind',
      ref: origin,
      at,
      to,
      title: `The witness ${witness} has cosigned ${size} entries of ${origin}, and here are ${context.size}: this is an older copy of the log, or the witness is wrong. Stop the broker and restore the newest copy.`,
      data,
    });
  },
};

const BROKER: EntryDraft['actor'] = { system: 'broker' };

interface Step extends Pick<WatchArgs, 'recordEveryMs' | 'told'> {
  row: WatchedRow | undefined;
}

/** Moves on to a larger checkpoint. Says so when it is the first, and then from time to time. */
function advance(
  context: WriterContext,
  { row, recordEveryMs, told }: Step,
  { note, origin, size, root }: SeenCheckpoint,
): void {
  const { at, entryId: id, labId: lab } = told;
  const isTold = row !== undefined && at - row.recordedAt < recordEveryMs;
  const values = { size, root, note, at, recordedAt: isTold ? row.recordedAt : at };
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
 * Says that a checkpoint was not cosigned, from time to time: whoever saw two checkpoints of a log can send us the older
 * one, or a wrong proof, as often as they like.
 */
function noteRefused(
  context: WriterContext,
  { row, recordEveryMs, told }: Step & { row: WatchedRow },
  why: 'smaller' | 'proof',
  { note, size }: SeenCheckpoint,
): void {
  const { at, entryId: id, labId: lab } = told;
  const { origin } = row;
  if (row.refusedAt !== null && at - row.refusedAt < recordEveryMs) return;
  context.db.update(watchedLogs).set({ refusedAt: at }).where(eq(watchedLogs.origin, origin)).run();
  if (why === 'proof') {
    const pair = {
      kind: 'unproven',
      origin,
      older: row.note,
      newer: note,
      past: undefined,
    } as const;
    keepEvidence(context, pair, told);
    return;
  }
  context.append({
    id,
    kind: 'log.checkpoint_refused',
    at,
    actor: BROKER,
    ref: origin,
    lab,
    data: { why, size, known: row.size, checkpoint: note },
  });
}
