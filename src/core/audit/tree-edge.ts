/**
 * The growing end of the tree. A publisher that keeps the edge hashes only what is new: its cost per
 * publication grows with the new leaves and the number of levels, never with the size of the log.
 */
import { HASH_BYTES, emptyRoot, nodeHash } from './merkle.ts';
import {
  TILE_BYTES,
  TILE_WIDTH,
  hashesOfTile,
  readTileAt,
  tileLevels,
  tileRoot,
  type ReadTile,
} from './tiles.ts';

/** The size of a tree and, for each level of tiles, the hashes of its last, partial tile (0 to 255 of them). */
export interface TreeEdge {
  size: number;
  /** By level, concatenated. A level whose last tile is full, or that does not exist yet, is empty. */
  partial: readonly Buffer[];
}

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
export function edgeRoot(edge: TreeEdge): Buffer {
  let root: Buffer | undefined;
  // Right to left, smallest subtree first: each further one to the left is joined on top.
  for (const tile of edge.partial) {
    const hashes = hashesOfTile(tile);
    let end = tile.length / HASH_BYTES;
    for (let level = 0; end > 0; level += 1) {
      const count = 2 ** level;
      if (Math.floor(end / count) % 2 === 1) {
        const peak = hashes(level, end / count - 1);
        root = root === undefined ? Buffer.from(peak) : nodeHash(peak, root);
        end -= count;
      }
    }
  }
  return root ?? emptyRoot();
}

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
