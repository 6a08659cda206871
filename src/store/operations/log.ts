/** The audit log itself: entries that stand alone, and checkpoints. */
import type { EntryDraft } from '../../core/audit/entry.ts';
import { edgeRoot } from '../../core/audit/tree-edge.ts';
import type { WriterContext } from '../context.ts';
import { missingJournalIsRecorded } from '../missing-journal.ts';
import { shrinkOldIndex } from '../old-indexes.ts';
import { removePrunedStep } from '../remove-pruned.ts';
import { replaceMeta } from '../records.ts';
import { checkpoints } from '../schema.ts';
import { growTiles, lastCheckpoint } from '../tree.ts';
import type { Operation } from './operation.ts';

/** Appends an entry that goes with no other change of state. */
export const recordEntry: Operation<{ entry: EntryDraft }, { index: number }> = {
  run(context, { entry }) {
    if (entry.kind === 'system.started') missingJournalIsRecorded(context.db);
    const isDenial = entry.decision === 'denied';
    return { index: isDenial ? context.appendDenial(entry) : context.append(entry) };
  },
};

/** Writes to the disk and nothing to the log: tells whether the log could be written again. */
export const probe: Operation<{ at: number }, void> = {
  run(context, { at }) {
    replaceMeta(context.db, 'last_probe', String(at));
  },
};

/** Nothing by itself: the database holds with it all that the journal held before. */
export const catchUp: Operation<Record<string, never>, void> = { run: () => undefined };

/** Takes away some of what an earlier version found entries by. */
export const shrinkOldIndexes: Operation<Record<string, never>, void> = {
  run: ({ db }) => shrinkOldIndex(db),
};

/** Takes away some of the entries that were pruned. */
export const removePruned: Operation<Record<string, never>, void> = {
  run: ({ db }) => removePrunedStep(db),
};

export interface Checkpointed {
  size: number;
  note: string;
}

/** Brings the tiles up to the last entry and signs a checkpoint, if there is anything new. */
export const publishCheckpoint: Operation<{ at: number }, Checkpointed> = {
  run: (context, { at }) => checkpointNow(context, at),
};

/** Brings the tiles up to the last entry, and signs. */
export function checkpointNow(context: WriterContext, at: number): Checkpointed {
  const { db, size } = context;
  const last = lastCheckpoint(db);
  if (last?.size === size) return { size, note: last.note };
  const note = context.log.signCheckpoint(size, edgeRoot(growTiles(context, size)), at);
  db.insert(checkpoints).values({ size, note, at }).run();
  return { size, note };
}
