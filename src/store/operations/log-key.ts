/** A new key takes over the signing of the log, at a size that is on record. */
import { gt, isNull, or } from 'drizzle-orm';
import { seenCheckpoint } from '../../core/audit/split-view.ts';
import { formatKeyStep } from '../../core/audit/key-history.ts';
import type { NoticeDraft } from '../../core/notices.ts';
import { readLogKeys, type LogKeyRow } from '../log-key-rows.ts';
import { notify } from '../notify.ts';
import { logKeys } from '../schema.ts';
import { checkpointNow } from './log.ts';
import { controlOperation, type By } from './operation.ts';

export interface RotatedLogKey {
  oldKey: string;
  newKey: string;
  /** Of the last checkpoint that the old key signed alone. */
  size: number;
  /** Until when it signs beside the new one, epoch milliseconds. */
  signsUntil: number;
}

/**
 * Has a new key sign the log. The old one signs a last checkpoint and the note that the new one follows it, and then
 * signs beside the new one until its time is over, so that whoever knows only the old one can go on verifying until
 * they have the new one.
 */
export const rotateLogKey = controlOperation(
  'log.rotate_key',
  (
    context,
    { by, overlapMs, to }: { by: By; overlapMs: number; to: NoticeDraft['to'] },
    who,
  ): RotatedLogKey => {
    const { db, log } = context;
    const { at } = by;
    const last = seenCheckpoint(checkpointNow(context, at).note);
    const { verifierKey: oldKey } = readLogKeys(db).at(-1) as LogKeyRow;
    // Its file is on disk before the row that names it. A crash in between leaves a file that nobody looks for.
    const next = log.makeNext();
    const { verifierKey: newKey, file } = next;
    const step = next.signStep(formatKeyStep({ last, oldKey, newKey, at }));
    const signsUntil = at + overlapMs;
    // Those before it, too: a key that leaked is not worth more for being older.
    db.update(logKeys)
      .set({ signsUntil })
      .where(or(isNull(logKeys.signsUntil), gt(logKeys.signsUntil, signsUntil)))
      .run();
    db.insert(logKeys).values({ verifierKey: newKey, file, after: last.size, at, step }).run();
    context.changedMemory(next.takeOver(signsUntil));
    context.append({
      id: by.entryId,
      kind: 'log.key_rotated',
      at,
      actor: who.actor,
      ref: log.origin,
      data: {
        old: oldKey,
        new: newKey,
        size: last.size,
        signsUntil: new Date(signsUntil).toISOString(),
        step,
      },
    });
    context.changed({ kind: 'log_key', value: newKey });
    // At once, so that the newest checkpoint is never one that the new key did not sign.
    checkpointNow(context, at);
    notify(context, {
      kind: 'log.key_rotated',
      ref: log.origin,
      at,
      to,
      title: `A new key signs the log ${log.origin} from entry ${last.size} on. Until ${new Date(signsUntil).toISOString()} the old one signs as well: get the new one from the host lab by then ("sallyport audit key").`,
      data: { old: oldKey, new: newKey, size: last.size },
    });
    return { oldKey, newKey, size: last.size, signsUntil };
  },
);
