/**
 * What is in an evidence bundle, and in which order. The list follows from the log's size alone, so that
 * writer and verifier agree on every name without trusting each other, and nothing can be left out unseen.
 */
import { createHash } from 'node:crypto';
import { TILE_WIDTH, parseTilePath, tileWidth } from '../core/audit/tiles.ts';

/** Name and version of the format: of the whole log, and of the entries of a range, under the hashes of all. */
const BUNDLE_FORMAT = 'sallyport-evidence/1';
const RANGE_FORMAT = 'sallyport-evidence/2';

/** Entries in every file of entries but the last: at most 64 MiB, which is what the writer holds in memory. */
export const ENTRIES_PER_FILE = 1024;

export const MANIFEST_PATH = 'manifest.json';
export const CHECKPOINT_PATH = 'checkpoint';
export const VERIFIER_KEY_PATH = 'verifier-key';

/** The files that come in front of all others. */
export const FIXED_PATHS: readonly string[] = [MANIFEST_PATH, CHECKPOINT_PATH, VERIFIER_KEY_PATH];

/** A file of entries: JSON lines, one per entry. */
export interface BundleEntriesFile {
  path: string;
  /** Index of its first entry. */
  first: number;
  count: number;
}

/** The entries `from` to `to - 1`. `from` is a multiple of 256, and `to` as well, or the size of the log. */
export interface BundleRange {
  from: number;
  to: number;
}

/** The files of entries of a range, in order: each but the first begins at a multiple of 1,024. */
export function* bundleEntriesFiles({ from, to }: BundleRange): Generator<BundleEntriesFile> {
  for (let first = from; first < to;) {
    const end = Math.min(to, first - (first % ENTRIES_PER_FILE) + ENTRIES_PER_FILE);
    yield { path: entriesPath(first), first, count: end - first };
    first = end;
  }
}

/** Whether a bundle of a range of a log of `size` entries has a file of this name. */
export function belongsToBundle(
  path: string,
  size: number,
  { from, to }: BundleRange = { from: 0, to: size },
): boolean {
  if (FIXED_PATHS.includes(path)) return true;
  const tile = parseTilePath(path);
  if (tile !== undefined && tile.level !== 'entries')
    return tileWidth(size, tile.level, tile.n) === tile.width;
  const first = Number(/^entries\/(\d{12,})\.jsonl$/.exec(path)?.[1] ?? Number.NaN);
  const begins = first === from || first % ENTRIES_PER_FILE === 0;
  return first >= from && first < to && begins && entriesPath(first) === path;
}

/**
 * The manifest's exact bytes. It says nothing that the verifier cannot recompute.
 *
 * @param size of the log, by the checkpoint
 * @param checkpointNote the checkpoint file's bytes
 * @param keyHistory of a log whose key was replaced: the document that says so (core/audit/key-history.ts)
 */
export function bundleManifest(
  origin: string,
  size: number,
  checkpointNote: Uint8Array,
  keyHistory?: string,
  { from, to }: BundleRange = { from: 0, to: size },
): Buffer {
  const isWhole = from === 0 && to === size;
  const manifest = {
    format: isWhole ? BUNDLE_FORMAT : RANGE_FORMAT,
    origin,
    ...(isWhole ? {} : { size }),
    range: [from, to],
    entries: to - from,
    checkpointSha256: createHash('sha256').update(checkpointNote).digest('hex'),
    ...(keyHistory === undefined ? {} : { keyHistory }),
  };
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`, 'utf8');
}

/**
 * The range in a manifest; that of the whole log where it says none that a bundle can have. What is wrong with it is found when
 * the manifest is held against what it must be.
 *
 * @param size of the log, by the checkpoint
 */
export function rangeIn(manifest: Uint8Array, size: number): BundleRange {
  const whole = { from: 0, to: size };
  try {
    const { range } = JSON.parse(Buffer.from(manifest).toString('utf8')) as { range?: unknown };
    if (!Array.isArray(range) || range.length !== 2 || !range.every(Number.isSafeInteger))
      return whole;
    const [from, to] = range as [number, number];
    const isAligned = from % TILE_WIDTH === 0 && (to === size || to % TILE_WIDTH === 0);
    return isAligned && 0 <= from && from <= to && to <= size ? { from, to } : whole;
  } catch {
    return whole;
  }
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
