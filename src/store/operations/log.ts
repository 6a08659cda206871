/** The audit log itself: entries that stand alone, and checkpoints. */
import { and, asc, desc, eq, gte, lt } from 'drizzle-orm';
import type { EntryActor, EntryDraft } from '../../core/audit/entry.ts';
import { EMPTY_EDGE, appendLeaves, edgeFromTiles, edgeRoot } from '../../core/audit/tree-edge.ts';
import type { WriterContext } from '../context.ts';
import { checkpoints, entries, meta, tiles } from '../schema.ts';
import { controlOperation, type By, type Operation } from './operation.ts';

/** Leaves hashed into tiles at a time, so that a long backlog does not have to fit into memory. */
const LEAVES_PER_BATCH = 65_536;

/** Appends an entry that goes with no other change of state. */
export const recordEntry: Operation<{ entry: EntryDraft }, { index: number }> = {
  run: (context, { entry }) => ({
    index: entry.decision === 'denied' ? context.appendDenial(entry) : context.append(entry),
  }),
};

/** Writes to the disk and nothing to the log: tells whether the log could be written again. */
export const probe: Operation<{ at: number }, void> = {
  run(context, { at }) {
    const row = { key: 'last_probe', value: String(at) };
    context.db.insert(meta).values(row).onConflictDoUpdate({ target: meta.key, set: row }).run();
  },
};

export interface Checkpointed {
  size: number;
  note: string;
}

/** Brings the tiles up to the last entry and signs a checkpoint, if there is anything new. */
export const publishCheckpoint: Operation<{ at: number }, Checkpointed> = {
  run: (context, { at }) => checkpointNow(context, at),
};

/** Fixes a signed checkpoint to export below, and records the export, which therefore is not in it. */
export const recordExport = controlOperation(
  'export.create',
  (context, args: { by: By; id: string }, who): Checkpointed => {
    const checkpoint = checkpointNow(context, args.by.at);
    context.append(exportEntry(args, who.actor, checkpoint));
    return checkpoint;
  },
  (args) => args.id,
);

function exportEntry(
  args: { by: By; id: string },
  actor: EntryActor,
  checkpoint: Checkpointed,
): EntryDraft {
  return {
    id: args.by.entryId,
    kind: 'audit.exported',
    at: args.by.at,
    actor,
    ref: args.id,
    data: { format: 'evidence', from: 0, size: checkpoint.size, checkpoint: checkpoint.note },
  };
}

function checkpointNow(context: WriterContext, at: number): Checkpointed {
  const { db, size } = context;
  const last = db.select().from(checkpoints).orderBy(desc(checkpoints.size)).limit(1).get();
  if (last && last.size === size) return { size, note: last.note };
  let edge = last
    ? edgeFromTiles(
        last.size,
        (level, n) =>
          db
            .select()
            .from(tiles)
            .where(and(eq(tiles.level, level), eq(tiles.n, n)))
            .get()?.hashes,
      )
    : EMPTY_EDGE;
  while (edge.size < size) {
    const leaves = db
      .select({ leaf: entries.leaf })
      .from(entries)
      .where(and(gte(entries.idx, edge.size), lt(entries.idx, edge.size + LEAVES_PER_BATCH)))
      .orderBy(asc(entries.idx))
      .all();
    const growth = appendLeaves(
      edge,
      leaves.map(({ leaf }) => leaf),
    );
    for (const row of growth.rows) {
      db.insert(tiles)
        .values(row)
        .onConflictDoUpdate({ target: [tiles.level, tiles.n], set: { hashes: row.hashes } })
        .run();
    }
    edge = growth.edge;
  }
  const note = context.log.signCheckpoint(size, edgeRoot(edge));
  db.insert(checkpoints).values({ size, note, at }).run();
  return { size, note };
}
