/** Writes an evidence bundle: everything an auditor needs to check the log without the server that kept it. */
import { Readable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';
import { openCheckpoint } from '../core/audit/checkpoint.ts';
import { MAX_ENTRY_BYTES } from '../core/audit/entry.ts';
import { readTileAt } from '../core/audit/tiles.ts';
import {
  CHECKPOINT_PATH,
  MANIFEST_PATH,
  VERIFIER_KEY_PATH,
  bundleEntriesFiles,
  bundleManifest,
  bundleTiles,
} from './bundle-layout.ts';

/** What a bundle is made from. */
export interface BundleContents {
  /** The signed checkpoint that fixes what is exported: entries [0, size). */
  checkpoint: string;
  /** The key that signed it, as text. */
  verifierKey: string;
  /** Stored hashes of a tile: at least as many as the checkpoint's size needs; of more, the prefix is taken. */
  tile: (level: number, n: number) => Uint8Array | undefined;
  /** The entries' exact bytes from index 0 on, in batches of any length. What comes after the last one is not read. */
  entries: Iterable<readonly Uint8Array[]> | AsyncIterable<readonly Uint8Array[]>;
}

const NEWLINE = Buffer.from('\n');

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
  return Readable.from(archive(contents, checkpoint.origin, checkpoint.size), {
    objectMode: false,
  });
}

async function* archive(
  contents: BundleContents,
  origin: string,
  size: number,
): AsyncGenerator<Buffer> {
  const tar = pack();
  const filled = fill(tar, contents, origin, size).catch((error: unknown) => {
    tar.destroy(error as Error);
  });
  try {
    for await (const chunk of tar as AsyncIterable<Buffer>) yield chunk;
  } finally {
    tar.destroy();
    await filled;
  }
}

async function fill(
  tar: Pack,
  contents: BundleContents,
  origin: string,
  size: number,
): Promise<void> {
  const note = Buffer.from(contents.checkpoint, 'utf8');
  await addFile(tar, MANIFEST_PATH, bundleManifest(origin, size, note));
  await addFile(tar, CHECKPOINT_PATH, note);
  await addFile(tar, VERIFIER_KEY_PATH, Buffer.from(`${contents.verifierKey}\n`, 'utf8'));
  for (const { path, level, n } of bundleTiles(size)) {
    await addFile(tar, path, readTileAt(size, level, n, contents.tile));
  }
  await addEntries(tar, contents.entries, size);
  tar.finalize();
}

async function addEntries(
  tar: Pack,
  batches: BundleContents['entries'],
  size: number,
): Promise<void> {
  const files = bundleEntriesFiles(size);
  let file = files.next().value;
  let lines: Uint8Array[] = [];
  let index = 0;
  // Nothing is asked of the iterator once the last entry is there: it may be a cursor over a growing table.
  if (file === undefined) return;
  for await (const batch of batches) {
    for (const entry of batch) {
      if (file === undefined) return;
      assertOneLine(entry, index);
      lines.push(entry, NEWLINE);
      index += 1;
      if (index === file.first + file.count) {
        await addFile(tar, file.path, Buffer.concat(lines));
        lines = [];
        file = files.next().value;
      }
    }
    if (file === undefined) return;
  }
  throw new Error(`The log has ${size} entries by its checkpoint, but only ${index} were found.`);
}

/** Resolves once the archive's reader has taken the file: that is the back-pressure. */
function addFile(tar: Pack, name: string, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // A fixed time and owner, so that a bundle depends on the log alone.
    const header = { name, size: content.length, mode: 0o644, mtime: new Date(0) };
    tar.entry(header, content, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function assertOneLine(entry: Uint8Array, index: number): void {
  if (entry.length > MAX_ENTRY_BYTES || entry.includes(0x0a)) {
    throw new Error(`Entry ${index} is not one line of at most ${MAX_ENTRY_BYTES} bytes.`);
  }
}
