/** Checks that a bundle's hash tiles hash up to the signed root. */
import { HASH_BYTES } from '../core/audit/merkle.ts';
import { TILE_BYTES, TILE_WIDTH, tilePath, tileRoot } from '../core/audit/tiles.ts';
import { edgeRoot } from '../core/audit/tree-edge.ts';
import { bundleTiles } from './bundle-layout.ts';
import type { BundleReader } from './bundle-reader.ts';
import { readExact } from './expected-file.ts';

/** What the tiles say. */
export interface TilesVerdict {
  /** Gives the leaf hashes of level-0 tile `n` again, as they stood there. */
  leafHashes: (n: number) => Promise<Buffer>;
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

/**
 * Reads all tiles, lowest level first. Holds one hash per full tile of a level while the next level is read
 * (an eighth of a byte per entry), because a tile's own hash stands in the level above it.
 *
 * @throws Finding when a tile is missing or has the wrong length
 */
export async function checkTiles(
  reader: BundleReader,
  size: number,
  root: Buffer,
): Promise<TilesVerdict> {
  const positions: number[] = [];
  const partial: Buffer[] = [];
  let problem: TilesProblem | undefined;
  let count = 0;
  let below = Buffer.alloc(0);
  let roots: Buffer[] = [];

  for (const { path, level, n, width } of bundleTiles(size)) {
    partial[level] ??= Buffer.alloc(0);
    if (n === 0 && level > 0) {
      below = Buffer.concat(roots);
      roots = [];
    }
    const { file, content } = await readExact(reader, path, size, width * HASH_BYTES);
    count += 1;
    if (level === 0) {
      positions.push(file.position);
    } else if (problem === undefined) {
      const bad = firstDifference(content, below.subarray(n * TILE_BYTES));
      if (bad !== undefined) problem = contradiction(level, n * TILE_WIDTH + bad, path);
    }
    if (width === TILE_WIDTH) roots.push(tileRoot(content));
    else partial[level] = content;
  }

  if (!edgeRoot({ size, partial }).equals(root)) {
    problem ??= { problem: 'The hash tiles do not hash to the signed root.' };
  }
  return {
    count,
    problem,
    leafHashes: (n) => {
      const width = Math.min(TILE_WIDTH, size - n * TILE_WIDTH);
      const place = { path: tilePath({ level: 0, n, width }), position: positions[n] ?? 0 };
      return reader.again(place, width * HASH_BYTES);
    },
  };
}

function contradiction(level: number, lower: number, upperTile: string): TilesProblem {
  const lowerTile = tilePath({ level: level - 1, n: lower, width: TILE_WIDTH });
  return { problem: `${lowerTile} does not hash to its place in ${upperTile}.`, upperTile };
}

/** Number of the first hash that differs from the one computed from below; there is one for each. */
function firstDifference(hashes: Buffer, computed: Buffer): number | undefined {
  for (let at = 0; at < hashes.length; at += HASH_BYTES) {
    if (hashes.compare(computed, at, at + HASH_BYTES, at, at + HASH_BYTES) !== 0) {
      return at / HASH_BYTES;
    }
  }
  return undefined;
}
