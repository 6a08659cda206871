/** The tree over the log, as the database keeps it: tiles that follow the entries, in the transaction that is open. */
import { and, desc, eq } from 'drizzle-orm';
import { EMPTY_EDGE, appendLeaves, edgeFromTiles, type TreeEdge } from '../core/audit/tree-edge.ts';
import type { WriterContext } from './context.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';
import { checkpoints, tiles } from './schema.ts';

/** Leaves hashed into tiles at a time, so that a long backlog does not have to fit into memory. */
const LEAVES_PER_BATCH = 65_536;

const leavesFrom = prepared((db) =>
  db.$client
    .prepare<[number, number], Buffer>(
      'SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    )
    .pluck(),
);

const writeTile = prepared((db) =>
  db.$client.prepare<[number, number, Buffer]>(
    'INSERT OR REPLACE INTO tiles (level, n, hashes) VALUES (?, ?, ?)',
  ),
);

/** The newest checkpoint, if there is one yet. */
export function lastCheckpoint(db: Db): { size: number; note: string; at: number } | undefined {
  return db.select().from(checkpoints).orderBy(desc(checkpoints.size)).limit(1).get();
}

/**
 * Brings the tiles up to an entry of the log, and gives the edge of the tree there. Tiles may be ahead of the newest
 * checkpoint: what it signs are their beginnings.
 *
 * @param size number of entries that they are to cover, all in the database
 */
export function growTiles(context: WriterContext, size: number): TreeEdge {
  const { db } = context;
  let edge = context.edge ?? knownEdge(db);
  while (edge.size < size) {
    const leaves = leavesFrom(db).all(edge.size, Math.min(size, edge.size + LEAVES_PER_BATCH));
    const growth = appendLeaves(edge, leaves);
    for (const { level, n, hashes } of growth.rows) writeTile(db).run(level, n, hashes);
    edge = growth.edge;
  }
  context.edge = edge;
  return edge;
}

/** What is certain to be in the tiles: all that was signed. */
function knownEdge(db: Db): TreeEdge {
  const last = lastCheckpoint(db);
  if (!last) return EMPTY_EDGE;
  return edgeFromTiles(
    last.size,
    (level, n) =>
      db
        .select()
        .from(tiles)
        .where(and(eq(tiles.level, level), eq(tiles.n, n)))
        .get()?.hashes,
  );
}
