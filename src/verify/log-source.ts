/** Where a log's tiles come from, as C2SP tlog-tiles lays them out; and the entries out of their bundles. */
import { TILE_WIDTH, tilePath, tileWidth, type TileOfTree } from '../core/tlog/tiles.ts';
import { HASH_BYTES } from '../core/tlog/tree.ts';
import type { EntryBlocks } from './check-entries.ts';
import type { ReadExactTile } from './check-tiles.ts';
import { incomplete, tampered } from './finding.ts';
import { inOrder } from './in-order.ts';

/** Reads a log's files. Nothing that it gives is trusted. What it throws ends the check as `could_not_run`. */
export interface LogSource {
  /**
   * A file by its path below the log's prefix, such as `tile/0/x001/234.p/17` or `tile/entries/000`; undefined if there
   * is none.
   */
  read: (path: string) => Promise<Uint8Array | undefined>;
}

/** Bundles of entries that are loaded at a time: 16 MiB each at most, and far less as a rule. */
const AHEAD = 4;

/** Bytes of the length in front of an entry. */
const LENGTH_BYTES = 2;

/** Reads hash tiles from a source. Where a partial tile is gone, the full one that came after it serves as well. */
export function tilesFrom(source: LogSource): ReadExactTile {
  return async (tile) => {
    const { path, width } = tile;
    const found = await readOrWider(source, tile);
    if (found === undefined) throw incomplete(`${path} is missing.`);
    const bytes = width * HASH_BYTES;
    if (found.bytes.length < bytes) {
      throw incomplete(
        `${path} is cut short: it has ${found.bytes.length} bytes instead of ${bytes}.`,
      );
    }
    const most = found.isWider ? TILE_WIDTH * HASH_BYTES : bytes;
    if (found.bytes.length > most) {
      throw tampered(`${path} has ${found.bytes.length} bytes instead of ${bytes}.`);
    }
    return found.bytes.subarray(0, bytes);
  };
}

/**
 * The entries of a log of `size` entries, out of its entry bundles.
 *
 * @param from index of the first that is asked for: a multiple of 256
 */
export async function* entriesFrom(
  source: LogSource,
  size: number,
  from = 0,
): EntryBlocks & AsyncGenerator {
  const read = ({ n, width }: { n: number; width: number }) => readBundle(source, n, width);
  for await (const [{ n, width }, found] of inOrder(bundlesOf(from, size), AHEAD, read)) {
    const path = tilePath({ level: 'entries', n, width });
    const first = n * TILE_WIDTH;
    if (found === undefined) throw incomplete(`${path} is missing.`, first);
    const { entries, rest } = splitBundle(found.bytes, width);
    yield entries;
    if (entries.length < width) {
      const index = first + entries.length;
      throw incomplete(`${path} is cut short: it ends before the end of entry ${index}.`, index);
    }
    if (rest > 0 && !found.isWider) {
      throw tampered(`${path} goes on after entry ${first + width - 1}.`, first + width);
    }
  }
}

/**
 * The first entry that a source has, where it has any: a multiple of 256. In front of it a log may have been pruned. It looks
 * between a bundle that is missing and one that is there: of a source with several gaps, it finds one end of a gap.
 */
export async function firstEntryOf(source: LogSource, size: number): Promise<number> {
  const has = async (n: number): Promise<boolean> =>
    (await readBundle(source, n, tileWidth(size, 0, n))) !== undefined;
  const last = Math.floor((size - 1) / TILE_WIDTH);
  if (size === 0 || (await has(0)) || !(await has(last))) return 0;
  let [missing, there] = [0, last];
  while (there - missing > 1) {
    const middle = Math.floor((missing + there) / 2);
    if (await has(middle)) there = middle;
    else missing = middle;
  }
  return there * TILE_WIDTH;
}

/** The first entry from an index on whose bundle is missing. */
export async function firstMissingFrom(
  source: LogSource,
  size: number,
  from: number,
): Promise<number> {
  let n = Math.floor(from / TILE_WIDTH);
  while (n * TILE_WIDTH < size && (await readBundle(source, n, tileWidth(size, 0, n)))) n += 1;
  return n * TILE_WIDTH;
}

const readBundle = (source: LogSource, n: number, width: number): Promise<Found | undefined> =>
  readOrWider(source, {
    path: tilePath({ level: 'entries', n, width }),
    level: 'entries',
    n,
    width,
  });

/**
 * Takes an entry bundle apart: each entry has its length in front of it, 16 bits, big-endian.
 *
 * @param most entries that are wanted
 * @returns the entries that are there whole, and how many bytes come after them
 */
function splitBundle(bundle: Uint8Array, most: number): { entries: Uint8Array[]; rest: number } {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.length);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < most && at + LENGTH_BYTES <= bundle.length) {
    const start = at + LENGTH_BYTES;
    const end = start + view.getUint16(at);
    if (end > bundle.length) break;
    entries.push(bundle.subarray(start, end));
    at = end;
  }
  return { entries, rest: bundle.length - at };
}

function* bundlesOf(from: number, size: number): Generator<{ n: number; width: number }> {
  for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < size; n += 1)
    yield { n, width: tileWidth(size, 0, n) };
}

interface Found {
  bytes: Uint8Array;
  /** Whether it is the full tile in place of a partial one. */
  isWider: boolean;
}

async function readOrWider(
  source: LogSource,
  { path, level, n, width }: Omit<TileOfTree, 'level'> & { level: number | 'entries' },
): Promise<Found | undefined> {
  const bytes = await source.read(path);
  if (bytes !== undefined) return { bytes, isWider: false };
  if (width === TILE_WIDTH) return undefined;
  const full = await source.read(tilePath({ level, n, width: TILE_WIDTH }));
  return full && { bytes: full, isWider: true };
}
