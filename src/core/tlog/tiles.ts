/** Hash tiles of C2SP tlog-tiles: their paths, their widths, and the hashes of a tree read out of them. */
import { HASH_BYTES, assertTreeSize, type HashAt, type Tree } from './tree.ts';

/** Hashes in a full tile, and entries in a full entry bundle. */
export const TILE_WIDTH = 256;

/** Bytes of a full tile. */
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** Binary levels of the tree that one level of tiles spans: 2^8 = 256. */
const TILE_HEIGHT = 8;

/** Where a tile stands, and how many hashes of it are meant. */
export interface TileAddress {
  /** 0 holds the leaf hashes; 'entries' are the entry bundles. */
  level: number | 'entries';
  n: number;
  /** 1 to 256; less than 256 for a partial tile. */
  width: number;
}

/**
 * Gives the hashes stored for a tile, concatenated: at least as many as are asked for by the size in
 * question, possibly more (a later, wider state of the same tile). Undefined if there is no such tile.
 */
export type ReadTile = (level: number, n: number) => Uint8Array | undefined;

/** A tree of some size at one level of tiles: how many full tiles, and the width of the partial one after them. */
export interface TileLevel {
  level: number;
  full: number;
  /** 0 when there is no partial tile. */
  partial: number;
}

/** Path of a tile below the log's prefix, for instance `tile/0/x001/234.p/17`. */
export function tilePath(address: TileAddress): string {
  const { level, n, width } = address;
  assertTreeSize(n);
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError(`${width} is not the width of a tile.`);
  }
  let rest = Math.floor(n / 1000);
  let digits = String(n % 1000).padStart(3, '0');
  while (rest > 0) {
    digits = `x${String(rest % 1000).padStart(3, '0')}/${digits}`;
    rest = Math.floor(rest / 1000);
  }
  return `tile/${level}/${digits}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Reads a path back. Undefined for everything that {@link tilePath} would not have written. */
export function parseTilePath(path: string): TileAddress | undefined {
  const parts = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (parts === null) return undefined;
  const [, level = '', digits = '', width] = parts;
  const address: TileAddress = {
    level: level === 'entries' ? level : Number(level),
    n: Number(digits.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  if (address.level !== 'entries' && address.level > 63) return undefined;
  if (!Number.isSafeInteger(address.n)) return undefined;
  if (address.width < 1 || address.width > TILE_WIDTH) return undefined;
  // One tile has one path: no leading zeros, no empty groups, no `.p/256`.
  return tilePath(address) === path ? address : undefined;
}

/** The levels of tiles that a tree of `size` leaves has, lowest first; empty tiles and levels are left out. */
export function tileLevels(size: number): TileLevel[] {
  assertTreeSize(size);
  const levels: TileLevel[] = [];
  for (let hashes = size, level = 0; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH)) {
    levels.push({ level, full: Math.floor(hashes / TILE_WIDTH), partial: hashes % TILE_WIDTH });
    level += 1;
  }
  return levels;
}

/** Width that tile `n` of this level has in a tree of `size` leaves; 0 if the tree has no such tile. */
export function tileWidth(size: number, level: number, n: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level) - n * TILE_WIDTH;
  return Math.min(Math.max(hashes, 0), TILE_WIDTH);
}

/**
 * Reads a tile at exactly the width it has in a tree of `size` leaves: of a tile that has grown since,
 * the prefix. Throws when the tile is missing or too narrow for that size.
 */
export function readTileAt(size: number, level: number, n: number, readTile: ReadTile): Uint8Array {
  const bytes = tileWidth(size, level, n) * HASH_BYTES;
  const tile = readTile(level, n);
  if (tile === undefined || tile.length < bytes || bytes === 0) {
    const held = (tile?.length ?? 0) / HASH_BYTES;
    throw new Error(
      `Tile ${n} of level ${level} holds ${held} hashes; a log of ${size} entries needs ${bytes / HASH_BYTES}.`,
    );
  }
  return tile.subarray(0, bytes);
}

/** The hashes of the full subtrees that lie within one tile, counted from the tile's first hash. */
export function hashesOfTile(tree: Tree, tile: Uint8Array): HashAt {
  const at: HashAt = (level, index) => {
    if (level > 0) return tree.nodeHash(at(level - 1, 2 * index), at(level - 1, 2 * index + 1));
    const hash = tile.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    if (hash.length !== HASH_BYTES) throw new RangeError(`The tile has no hash ${index}.`);
    return hash;
  };
  return at;
}

/** Hash of the subtree that a tile of any width covers; of a full tile: its entry in the level above. */
export function tileRoot<H extends Uint8Array>(tree: Tree<H>, tile: Uint8Array): H {
  if (tile.length === TILE_BYTES) return tree.fullTreeRoot(tile);
  return tree.rangeHash(0, tile.length / HASH_BYTES, hashesOfTile(tree, tile));
}

/**
 * The hashes of a tree's full subtrees, out of its tiles: what proofs.ts computes from. Remembers the tiles
 * it has read, so make one per proof: it then reads a few tiles per level.
 */
export function hashesFromTiles(tree: Tree, size: number, readTile: ReadTile): HashAt {
  const read = new Map<string, HashAt>();
  return (level, index) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT);
    const within = level % TILE_HEIGHT;
    const perTile = 2 ** (TILE_HEIGHT - within);
    const n = Math.floor(index / perTile);
    const key = `${tileLevel}/${n}`;
    let hashes = read.get(key);
    if (hashes === undefined) {
      hashes = hashesOfTile(tree, readTileAt(size, tileLevel, n, readTile));
      read.set(key, hashes);
    }
    return hashes(within, index % perTile);
  };
}

/** A tile of a tree of some size, with its path. */
export interface TileOfTree {
  path: string;
  level: number;
  n: number;
  width: number;
}

/** The tiles of a tree of `size` leaves: level by level from the leaves up, left to right. */
export function* tilesOf(size: number): Generator<TileOfTree> {
  for (const { level, full, partial } of tileLevels(size)) {
    for (let n = 0; n < full + (partial > 0 ? 1 : 0); n += 1) {
      const width = n < full ? TILE_WIDTH : partial;
      yield { path: tilePath({ level, n, width }), level, n, width };
    }
  }
}
