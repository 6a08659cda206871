/**
 * Reads a bundle from a tar archive, whose files may come in any order. Stricter than general tar tools, which skip
 * what they do not know and read on after damage: here every byte is a file's, or is what it must be,
 * and the end of the archive is told apart from the end of the bytes.
 *
 * The headers are read first, from file to file, and where each file stands is kept: some hundred bytes of memory per
 * file, of which a log of a million entries has five thousand.
 */
import type { FileHandle } from 'node:fs/promises';
import { incomplete, tampered, type Finding } from '../verify/finding.ts';
import { readFully, readPieces, type BundleReader } from './bundle-reader.ts';
import { BLOCK, isHarmlessNote, parseTarHeader } from './tar-header.ts';

/** More files than a log of a hundred million entries has; so that a forged archive cannot fill the memory. */
const MOST_FILES = 1_000_000;

/** More bytes than the notes of tar programs have. */
const MOST_NOTE_BYTES = 4096;

interface Place {
  start: number;
  size: number;
}

interface Contents {
  files: Map<string, Place>;
  /** The first name that stands twice. */
  twice: string | undefined;
  /** Why there may be more than was found; makes the Finding for the file that is missed. */
  stopped: ((missed: string) => Finding) | undefined;
}

/** Reads a bundle from an open archive, which is closed with the reader. */
export async function openTar(file: FileHandle): Promise<BundleReader> {
  const { files, twice, stopped } = await readContents(file);
  const cutOff = (at: number, where: string): Finding =>
    incomplete(`The bundle is cut off: it ends at byte ${at}, ${where}.`);

  async function* body(path: string, { start, size }: Place): AsyncGenerator<Buffer> {
    let left = size;
    for await (const piece of readPieces(file, start, start + size)) {
      left -= piece.length;
      yield piece;
    }
    if (left > 0) throw cutOff(start + size - left, `in ${path}`);
  }

  return {
    find: async (path) => {
      if (path === twice) throw tampered(`The bundle holds ${path} twice.`);
      const place = files.get(path);
      if (place !== undefined) return { path, size: place.size, body: () => body(path, place) };
      if (stopped !== undefined) throw stopped(path);
      return undefined;
    },
    surplus: async (belongs) => [...files.keys()].find((path) => !belongs(path)),
    end: async () => {
      if (twice !== undefined) throw tampered(`The bundle holds ${printable(twice)} twice.`);
      if (stopped !== undefined) throw stopped('the end of the archive');
    },
    close: () => file.close(),
  };
}

/** Goes from header to header, and over what is between them. */
async function readContents(file: FileHandle): Promise<Contents> {
  const contents: Contents = { files: new Map(), twice: undefined, stopped: undefined };
  const stop = (why: (missed: string) => Finding): Contents => ({ ...contents, stopped: why });
  const { size: length } = await file.stat();
  const cutOff = () =>
    stop((missed) =>
      incomplete(`The bundle is cut off: it ends at byte ${length}, where ${missed} should be.`),
    );
  // Padding in front of a header is looked at together with it.
  const buffer = Buffer.alloc(2 * BLOCK);
  let padding = 0;
  for (let at = 0; ;) {
    const filled = await readFully(file, buffer.subarray(0, padding + BLOCK), at);
    if (!isZero(buffer.subarray(0, Math.min(padding, filled))))
      return stop((missed) => tampered(`Bytes were changed at byte ${at}, in front of ${missed}.`));
    if (filled < padding + BLOCK) return cutOff();
    const block = buffer.subarray(padding, padding + BLOCK);
    const offset = at + padding;
    at = offset + BLOCK;
    if (isZero(block)) return { ...contents, stopped: await checkEnd(file, at, length) };

    const header = parseTarHeader(block);
    const damaged = (why: string) =>
      stop((missed) =>
        tampered(`The tar header at byte ${offset}, where ${missed} may begin, ${why}.`),
      );
    if (typeof header === 'string') return damaged(header);
    const { path, size, type } = header;
    if (type === 'folder' && size > 0) return damaged('is of a folder with a content');
    if (type === 'note') {
      if (size > MOST_NOTE_BYTES) return damaged('has too many records');
      const note = Buffer.alloc(size);
      if ((await readFully(file, note, at)) < size) return cutOff();
      if (!isHarmlessNote(note)) return damaged('has records that change a name or a size');
    }
    if (type === 'file') {
      if (contents.files.has(path)) contents.twice ??= path;
      contents.files.set(path, { start: at, size });
      if (contents.files.size > MOST_FILES) return damaged('is one of more than a million');
    }
    at += size;
    padding = (BLOCK - (size % BLOCK)) % BLOCK;
  }
}

/** After the first block of zeros: another one, and nothing but zeros from there on. */
async function checkEnd(
  file: FileHandle,
  at: number,
  length: number,
): Promise<Contents['stopped']> {
  if (length < at + BLOCK)
    return () => incomplete(`The bundle is cut off: it ends at byte ${length}, in its end mark.`);
  for await (const rest of readPieces(file, at, Infinity)) {
    if (!isZero(rest)) return () => tampered('The archive goes on after its end mark.');
  }
  return undefined;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** A name out of a forged archive goes to a terminal: without its control characters. */
export function printable(name: string): string {
  return name.slice(0, 120).replaceAll(/[^\x20-\x7e]/g, '?');
}
