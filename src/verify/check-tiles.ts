/** Checks that the hash tiles of a log hash up to the signed root. */
import { equalBytes } from '../core/tlog/bytes.ts';
import {
  TILE_WIDTH,
  tilePath,
  tileRoot,
  tileWidth,
  tilesOf,
  type TileOfTree,
} from '../core/tlog/tiles.ts';
import { edgeRoot } from '../core/tlog/tree-edge.ts';
import { HASH_BYTES, type Tree } from '../core/tlog/tree.ts';
import { inOrder } from './in-order.ts';

/** Gives a tile's hashes, exactly as many as its width says. Throws a Finding where they are missing or of another length. */
export type ReadExactTile = (tile: TileOfTree) => Promise<Uint8Array>;

/** What the tiles say. */
export interface TilesVerdict {
  /** The hash that the tile of leaf hashes `n` comes to, as it was read; undefined if the tree has no such tile. */
  rootOfTile: (n: number) => Uint8Array | undefined;
  /** Reads the tile of leaf hashes `n` again, to say which of its entries is wrong. */
  leafHashes: (n: number) => Promise<Uint8Array>;
  /** Tiles read. */
  count: number;
  /** Undefined when every tile reaches the signed root. */
  problem: TilesProblem | undefined;
}

/** Where tiles contradict each other or the root. Which of them was changed, the entries will tell. */
interface TilesProblem {
  /** One sentence. */
  problem: string;
  /** The tile that was changed if all leaf hashes are right. */
  upperTile?: string;
}

/** Tiles that are loaded at a time. */
const AHEAD = 16;

/**
 * Reads all tiles, lowest level first. Holds one hash per full tile (an eighth of a byte per entry), because a
 * tile's own hash stands in the level above it, and the entries below it come to it.
 *
 * @throws Finding when a tile is missing or has the wrong length
 */
export async function checkTiles(
  tree: Tree,
  readTile: ReadExactTile,
  size: number,
  root: Uint8Array,
): Promise<TilesVerdict> {
  /** By level: the hash of each of its tiles, the last and partial one included. */
  const roots: Uint8Array[][] = [];
  const partial: Uint8Array[] = [];
  let problem: TilesProblem | undefined;
  let count = 0;

  for await (const [{ path, level, n, width }, content] of inOrder(
    tilesOf(size),
    AHEAD,
    readTile,
  )) {
    count += 1;
    partial[level] ??= new Uint8Array();
    const below = roots[level - 1]?.slice(n * TILE_WIDTH, n * TILE_WIDTH + width);
    const bad = below === undefined ? -1 : firstDifference(content, below);
    if (bad !== -1) problem ??= contradiction(level, n * TILE_WIDTH + bad, path);
    (roots[level] ??= []).push(tileRoot(tree, content));
    if (width < TILE_WIDTH) partial[level] = content;
  }

  if (!equalBytes(edgeRoot(tree, { size, partial }), root)) {
    problem ??= { problem: 'The hash tiles do not hash to the signed root.' };
  }
  return {
    count,
    problem,
    rootOfTile: (n) => roots[0]?.[n],
    leafHashes: (n) => {
      const width = tileWidth(size, 0, n);
      return readTile({ path: tilePath({ level: 0, n, width }), level: 0, n, width });
    },
  };
}

function contradiction(level: number, lower: number, upperTile: string): TilesProblem {
  const lowerTile = tilePath({ level: level - 1, n: lower, width: TILE_WIDTH });
  return { problem: `${lowerTile} does not hash to its place in ${upperTile}.`, upperTile };
}

/** Number of the first hash that differs from the one computed from below; -1 if none does. */
function firstDifference(hashes: Uint8Array, computed: readonly Uint8Array[]): number {
  return computed.findIndex(
    (hash, i) => !equalBytes(hash, hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)),
  );
}
