/** What the verifier needs of a bundle, be it a tar archive or a directory of the same layout. */
import type { FileHandle } from 'node:fs/promises';

/** One file of a bundle. Its body is read once, to its end, before the next file is asked for. */
export interface BundleFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Where the reader finds the body again; means nothing to others. */
  position: number;
  /** The bytes, in pieces. Throws a Finding when the archive ends before the file does. */
  body: () => AsyncGenerator<Buffer>;
}

/** A bundle opened for reading. */
export interface BundleReader {
  /**
   * The next file. A directory gives the file of the expected name and undefined if there is none; an archive
   * gives whatever file comes next, and undefined at its end. Throws a Finding where an archive is damaged or cut.
   */
  next: (expected: string) => Promise<BundleFile | undefined>;
  /** Reads `length` bytes of a file that was read before; fewer if the file was changed meanwhile. */
  again: (file: { path: string; position: number }, length: number) => Promise<Buffer>;
  /**
   * A file that is there and has no place in a bundle, when every expected one was read; undefined if none.
   *
   * @param folders those of the bundle: of a directory, nothing else is looked at
   */
  surplus: (
    belongs: (path: string) => boolean,
    folders: readonly string[],
  ) => Promise<string | undefined>;
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
