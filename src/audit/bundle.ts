/** Writes an evidence bundle: everything an auditor needs to check the log without the server that kept it. */
import type { Readable } from 'node:stream';
import { openCheckpoint } from '../core/audit/checkpoint.ts';
import { MAX_ENTRY_BYTES } from '../core/audit/entry.ts';
import { readTileAt } from '../core/audit/tiles.ts';
import { tilesOf } from '../core/tlog/tiles.ts';
import {
  CHECKPOINT_PATH,
  MANIFEST_PATH,
  VERIFIER_KEY_PATH,
  bundleEntriesFiles,
  bundleManifest,
  type BundleRange,
} from './bundle-layout.ts';
import { streamTar, type AddFile } from './tar-writer.ts';

/** What a bundle is made from. */
export interface BundleContents {
  /** The signed checkpoint that fixes what is exported: entries [0, size). */
  checkpoint: string;
  /** The key that signed it, as text. */
  verifierKey: string;
  /** Of a log whose key was replaced: the history of its keys, so that those who know only another one can verify. */
  keyHistory?: string | undefined;
  /** Of which entries it is; undefined: of all. */
  range?: BundleRange | undefined;
  /** Stored hashes of a tile: at least as many as the checkpoint's size needs; of more, the prefix is taken. */
  tile: (level: number, n: number) => Uint8Array | undefined;
  /** The entries' exact bytes from the beginning of the range on, in batches of any length. What comes after the last one is not read. */
  entries: Iterable<readonly Uint8Array[]> | AsyncIterable<readonly Uint8Array[]>;
}

const NEWLINE = Buffer.from('\n');

/** Entries are put together into pieces of about this size. */
const PIECE_BYTES = 262_144;

/**
 * Streams an evidence bundle as a tar archive. The same contents give the same bytes. Holds one file of
 * entries in memory, and asks for more entries only as fast as the stream is read; when the stream is
 * destroyed, the iterator of entries is closed before the stream emits `close`.
 *
 * @throws NoteError, CheckpointError or RangeError at once when the key did not sign the checkpoint. The stream
 *   is destroyed with an error when tiles or entries are missing; it then has no end and verifies as incomplete.
 */
export function evidenceBundle(contents: BundleContents): Readable {
  const checkpoint = openCheckpoint(contents.checkpoint, contents.verifierKey);
  return streamTar((add) => fill(add, contents, checkpoint.origin, checkpoint.size));
}

async function fill(
  add: AddFile,
  contents: BundleContents,
  origin: string,
  size: number,
): Promise<void> {
  const note = Buffer.from(contents.checkpoint, 'utf8');
  const { range = { from: 0, to: size } } = contents;
  await add(MANIFEST_PATH, bundleManifest(origin, size, note, contents.keyHistory, range));
  await add(CHECKPOINT_PATH, note);
  await add(VERIFIER_KEY_PATH, Buffer.from(`${contents.verifierKey}\n`, 'utf8'));
  for (const { path, level, n } of tilesOf(size)) {
    await add(path, readTileAt(size, level, n, contents.tile));
  }
  await addEntries(add, contents.entries, range);
}

async function addEntries(
  add: AddFile,
  batches: BundleContents['entries'],
  range: BundleRange,
): Promise<void> {
  const files = bundleEntriesFiles(range);
  let file = files.next().value;
  let lines: Uint8Array[] = [];
  let bytes = 0;
  let pieces: Buffer[] = [];
  let index = range.from;
  const putTogether = (): void => {
    pieces.push(Buffer.concat(lines));
    lines = [];
    bytes = 0;
  };
  // Nothing is asked of the iterator once the last entry is there: it may be a cursor over a growing table.
  if (file === undefined) return;
  for await (const batch of batches) {
    for (const entry of batch) {
      if (file === undefined) return;
      assertOneLine(entry, index);
      lines.push(entry, NEWLINE);
      bytes += entry.length + 1;
      index += 1;
      if (bytes >= PIECE_BYTES) putTogether();
      if (index === file.first + file.count) {
        if (lines.length > 0) putTogether();
        await add(file.path, ...pieces);
        pieces = [];
        file = files.next().value;
      }
    }
    if (file === undefined) return;
  }
  throw new Error(
    `The log has the entries up to ${range.to} by its checkpoint, but only ${index - range.from} were found.`,
  );
}

function assertOneLine(entry: Uint8Array, index: number): void {
  if (entry.length > MAX_ENTRY_BYTES || entry.includes(0x0a)) {
    throw new Error(`Entry ${index} is not one line of at most ${MAX_ENTRY_BYTES} bytes.`);
  }
}
