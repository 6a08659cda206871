/** What the verifier needs of a bundle, be it a tar archive or a directory of the same layout. */
import type { FileHandle } from 'node:fs/promises';

/** Bytes that are read at a time. */
const READ_BYTES = 256 * 1024;

/** One file of a bundle. */
export interface BundleFile {
  path: string;
  /** Bytes. */
  size: number;
  /** The bytes, in pieces, from the beginning each time. Throws a Finding when the archive ends before the file does. */
  body: () => AsyncGenerator<Buffer>;
}

/** A bundle opened for reading. Its files are found by their names: in which order they stand says nothing. */
export interface BundleReader {
  /** The file of this name; undefined if there is none. Throws a Finding where damage to the archive may be why. */
  find: (path: string) => Promise<BundleFile | undefined>;
  /**
   * A file that is there and has no place in a bundle; undefined if none.
   *
   * @param folders those of the bundle: of a directory, nothing else is looked at
   */
  surplus: (
    belongs: (path: string) => boolean,
    folders: readonly string[],
  ) => Promise<string | undefined>;
  /** When every file was read: throws a Finding where the archive does not end as it should. */
  end: () => Promise<void>;
  close: () => Promise<void>;
}

/** Fills the buffer from this position on; returns how many bytes there were before the file's end. */
export async function readFully(
  file: FileHandle,
  buffer: Buffer,
  position: number,
): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(
      buffer,
      filled,
      buffer.length - filled,
      position + filled,
    );
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** The bytes from one position to another, or to the file's end, in pieces that stay as they are. */
export async function* readPieces(
  file: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<Buffer> {
  for (let position = start; position < end;) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, end - position));
    const filled = await readFully(file, buffer, position);
    if (filled === 0) return;
    position += filled;
    yield buffer.subarray(0, filled);
  }
}
