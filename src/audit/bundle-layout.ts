/**
 * What is in an evidence bundle, and in which order. The list follows from the log's size alone, so that
 * writer and verifier agree on every name without trusting each other, and nothing can be left out unseen.
 */
import { createHash } from 'node:crypto';
import { TILE_WIDTH, parseTilePath, tileLevels, tilePath, tileWidth } from '../core/audit/tiles.ts';

/** Name and version of the format. */
const BUNDLE_FORMAT = 'sallyport-evidence/1';

/** Entries in every file of entries but the last: at most 64 MiB, which is what the writer holds in memory. */
export const ENTRIES_PER_FILE = 1024;

export const MANIFEST_PATH = 'manifest.json';
export const CHECKPOINT_PATH = 'checkpoint';
export const VERIFIER_KEY_PATH = 'verifier-key';

const FIXED_PATHS = [MANIFEST_PATH, CHECKPOINT_PATH, VERIFIER_KEY_PATH];

/** A tile's place in the bundle. */
export interface BundleTile {
  path: string;
  level: number;
  n: number;
  width: number;
}

/** A file of entries: JSON lines, one per entry. */
export interface BundleEntriesFile {
  path: string;
  /** Index of its first entry. */
  first: number;
  count: number;
}

/** The tiles of a log of `size` entries in bundle order: level by level from the leaves up, left to right. */
export function* bundleTiles(size: number): Generator<BundleTile> {
  for (const { level, full, partial } of tileLevels(size)) {
    for (let n = 0; n < full + (partial > 0 ? 1 : 0); n += 1) {
      const width = n < full ? TILE_WIDTH : partial;
      yield { path: tilePath({ level, n, width }), level, n, width };
    }
  }
}

/** The files of entries of a log of `size` entries, in order. */
export function* bundleEntriesFiles(size: number): Generator<BundleEntriesFile> {
  for (let first = 0; first < size; first += ENTRIES_PER_FILE) {
    yield { path: entriesPath(first), first, count: Math.min(ENTRIES_PER_FILE, size - first) };
  }
}

/**
 * Where in the bundle of a log of `size` entries this file stands, counted from 0.
 * Undefined if that bundle has no file of this name.
 */
export function bundlePosition(path: string, size: number): number | undefined {
  const fixed = FIXED_PATHS.indexOf(path);
  if (fixed !== -1) return fixed;
  let position = FIXED_PATHS.length;
  const tile = parseTilePath(path);
  for (const { level, full, partial } of tileLevels(size)) {
    if (tile?.level === level) {
      return tileWidth(size, level, tile.n) === tile.width ? position + tile.n : undefined;
    }
    position += full + (partial > 0 ? 1 : 0);
  }
  const first = Number(/^entries\/(\d{12,})\.jsonl$/.exec(path)?.[1] ?? Number.NaN);
  const isStart = first < size && first % ENTRIES_PER_FILE === 0 && entriesPath(first) === path;
  return isStart ? position + first / ENTRIES_PER_FILE : undefined;
}

/**
 * The manifest's exact bytes. It says nothing that the verifier cannot recompute.
 *
 * @param checkpointNote the checkpoint file's bytes
 * @param keyHistory of a log whose key was replaced: the document that says so (core/audit/key-history.ts)
 */
export function bundleManifest(
  origin: string,
  size: number,
  checkpointNote: Uint8Array,
  keyHistory?: string,
): Buffer {
  const manifest = {
    format: BUNDLE_FORMAT,
    origin,
    range: [0, size],
    entries: size,
    checkpointSha256: createHash('sha256').update(checkpointNote).digest('hex'),
    ...(keyHistory === undefined ? {} : { keyHistory }),
  };
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`, 'utf8');
}

/** The history of the log's keys in a manifest; undefined where there is none. Nothing of it is checked. */
export function keyHistoryIn(manifest: Uint8Array): string | undefined {
  try {
    const { keyHistory } = JSON.parse(Buffer.from(manifest).toString('utf8')) as {
      keyHistory?: unknown;
    };
    return typeof keyHistory === 'string' ? keyHistory : undefined;
  } catch {
    // What is wrong with it is found when it is held against what it must be.
    return undefined;
  }
}

/** Named by their first entry, so that an entry is found by eye, and padded, so that names sort like indexes. */
function entriesPath(first: number): string {
  return `entries/${String(first).padStart(12, '0')}.jsonl`;
}
