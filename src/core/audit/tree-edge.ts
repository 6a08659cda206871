/**
 * The growing end of the tree. A publisher that keeps the edge hashes only what is new: its cost per
 * publication grows with the new leaves and the number of levels, never with the size of the log.
 */
import * as neutral from '../tlog/tree-edge.ts';
import { tree } from './merkle.ts';
import {
  TILE_BYTES,
  TILE_WIDTH,
  readTileAt,
  tileLevels,
  tileRoot,
  type ReadTile,
} from './tiles.ts';

export type TreeEdge = neutral.TreeEdge<Buffer>;

/** A tile to be stored whole in place of what was stored for it: 1 to 256 hashes, concatenated. */
interface TileRow {
  level: number;
  n: number;
  hashes: Buffer;
}

/** What appending leaves comes to. */
export interface Growth {
  edge: TreeEdge;
  /** The tiles that changed: each extends what was stored for it, and no full tile ever comes again. */
  rows: TileRow[];
  root: Buffer;
}

/** The edge of a tree without leaves. */
export const EMPTY_EDGE: TreeEdge = { size: 0, partial: [] };

/**
 * Reads the edge of a tree of `size` leaves from its stored tiles: one tile per level.
 * Throws when a tile is missing or too narrow.
 */
export function edgeFromTiles(size: number, readTile: ReadTile): TreeEdge {
  const partial = tileLevels(size).map(({ level, full, partial: width }) =>
    width === 0 ? Buffer.alloc(0) : readTileAt(size, level, full, readTile),
  );
  return { size, partial };
}

/** Root of the tree with this edge (RFC 6962, 2.1). */
export const edgeRoot = (edge: TreeEdge): Buffer => neutral.edgeRoot(tree, edge);

/** Root of a tree's first `size` leaves, from its tiles: reads one tile per level. Throws like {@link edgeFromTiles}. */
export function rootFromTiles(size: number, readTile: ReadTile): Buffer {
  return edgeRoot(edgeFromTiles(size, readTile));
}

/** Appends leaves, given by their leaf hashes in order, to the tree with this edge. The edge is not changed. */
export function appendLeaves(edge: TreeEdge, leafHashes: readonly Uint8Array[]): Growth {
  const rows: TileRow[] = [];
  const partial: Buffer[] = [];
  const size = edge.size + leafHashes.length;
  let added = leafHashes;
  for (let level = 0; level < edge.partial.length || added.length > 0; level += 1) {
    const before = edge.partial[level] ?? Buffer.alloc(0);
    if (added.length === 0) {
      partial.push(before);
      continue;
    }
    const hashes = Buffer.concat([before, ...added]);
    const first = Math.floor(edge.size / TILE_WIDTH ** (level + 1));
    const roots: Buffer[] = [];
    for (let offset = 0; offset < hashes.length; offset += TILE_BYTES) {
      const tile = hashes.subarray(offset, offset + TILE_BYTES);
      rows.push({ level, n: first + offset / TILE_BYTES, hashes: tile });
      if (tile.length === TILE_BYTES) roots.push(tileRoot(tile));
    }
    // Copied, so that a kept edge does not keep every tile of the batch in memory.
    partial.push(Buffer.from(hashes.subarray(roots.length * TILE_BYTES)));
    added = roots;
  }
  return { edge: { size, partial }, rows, root: edgeRoot({ size, partial }) };
}
