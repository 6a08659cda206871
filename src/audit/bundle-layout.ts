/**
 * What is in an evidence bundle, and in which order. The list follows from the log's size alone, so that
 * writer and verifier agree on every name without trusting each other, and nothing can be left out unseen.
 */
import { createHash } from 'node:crypto';
import { parseTilePath, tileWidth } from '../core/audit/tiles.ts';

/** Name and version of the format. */
const BUNDLE_FORMAT = 'sallyport-evidence/1';

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

/** The files of entries of a log of `size` entries, in order. */
export function* bundleEntriesFiles(size: number): Generator<BundleEntriesFile> {
  for (let first = 0; first < size; first += ENTRIES_PER_FILE) {
    yield { path: entriesPath(first), first, count: Math.min(ENTRIES_PER_FILE, size - first) };
  }
}

/** Whether a bundle of a log of `size` entries has a file of this name. */
export function belongsToBundle(path: string, size: number): boolean {
  if (FIXED_PATHS.includes(path)) return true;
  const tile = parseTilePath(path);
  if (tile !== undefined && tile.level !== 'entries')
    return tileWidth(size, tile.level, tile.n) === tile.width;
  const first = Number(/^entries\/(\d{12,})\.jsonl$/.exec(path)?.[1] ?? Number.NaN);
  return first < size && first % ENTRIES_PER_FILE === 0 && entriesPath(first) === path;
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
