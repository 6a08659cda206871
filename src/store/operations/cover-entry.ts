/** A checkpoint for somebody who waits for the proof of an entry. */
import { lastCheckpoint } from '../tree.ts';
import { checkpointNow, type Checkpointed } from './log.ts';
import type { Operation } from './operation.ts';

/** Checkpoints that somebody waits for are no closer to each other than this, however many wait. */
const CHECKPOINTS_APART_MS = 1_000;

/**
 * Signs a checkpoint that covers an entry, unless the newest does, or is so young that the next has to wait.
 *
 * @returns the newest checkpoint, which may not cover the entry yet: ask again
 */
export const coverEntry: Operation<{ at: number; index: number }, Checkpointed | undefined> = {
  run(context, { at, index }) {
    const last = lastCheckpoint(context.db);
    if (last && (last.size > index || isYoung(last.at, at)))
      return { size: last.size, note: last.note };
    return context.size > index ? checkpointNow(context, at) : undefined;
  },
};

/** A clock that was set back must not make anybody wait for longer. */
function isYoung(signedAt: number, now: number): boolean {
  return now >= signedAt && now - signedAt < CHECKPOINTS_APART_MS;
}
