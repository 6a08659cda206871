/**
 * Reads a bundle from a tar archive (POSIX.1-1988 ustar). Stricter than general tar tools, which skip
 * what they do not know and read on after damage: here every byte is a file's, or is what it must be,
 * and the end of the archive is told apart from the end of the bytes.
 */
import type { FileHandle } from 'node:fs/promises';
import { readFully, type BundleFile, type BundleReader } from './bundle-reader.ts';
import { incomplete, tampered } from './finding.ts';

const BLOCK = 512;
const READ_BYTES = 256 * 1024;

/** Reads a bundle from an open archive, which is closed with the reader. */
export function openTar(file: FileHandle): BundleReader {
  const input = sequentialInput(file);
  let padding = 0;

  const next = async (expected: string): Promise<BundleFile | undefined> => {
    const gap = await input.take(padding, `in front of ${expected}`);
    if (!isZero(gap)) throw tampered(`Bytes were changed in front of ${expected}.`);
    padding = 0;
    const block = await input.take(BLOCK, `where ${expected} should begin`);
    if (isZero(block)) {
      await checkEnd(input);
      return undefined;
    }
    const header = parseHeader(block, input.offset() - BLOCK, expected);
    padding = (BLOCK - (header.size % BLOCK)) % BLOCK;
    return {
      ...header,
      position: input.offset(),
      body: () => input.stream(header.size, `in ${header.path}`),
    };
  };

  return {
    next,
    again: async ({ position }, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, await readFully(file, bytes, position));
    },
    surplus: async () => (await next('the end of the archive'))?.path,
    close: () => file.close(),
  };
}

/** After the first block of zeros: another one, and nothing but zeros from there on. */
async function checkEnd(input: SequentialInput): Promise<void> {
  if (!isZero(await input.take(BLOCK, 'in its end mark'))) {
    throw tampered('The archive goes on after its end mark.');
  }
  for await (const rest of input.rest()) {
    if (!isZero(rest)) throw tampered('The archive goes on after its end mark.');
  }
}

function parseHeader(
  block: Buffer,
  offset: number,
  expected: string,
): { path: string; size: number } {
  const damaged = (why: string) =>
    tampered(`The tar header at byte ${offset}, where ${expected} should begin, ${why}.`);
  // The two forms in use; the sum takes its own field as eight spaces.
  const [, long, short] =
    /^(?:([0-7]{6})\0 |([0-7]{6}) \0)$/.exec(block.toString('latin1', 148, 156)) ?? [];
  let sum = 8 * 0x20;
  for (const byte of block) sum += byte;
  for (const byte of block.subarray(148, 156)) sum -= byte;
  if (Number.parseInt(long ?? short ?? '', 8) !== sum) {
    throw damaged('is damaged: its checksum is wrong');
  }
  if (block.toString('latin1', 257, 262) !== 'ustar') throw damaged('is not of the ustar format');
  const type = block.toString('latin1', 156, 157);
  if (type !== '0' && type !== '\0') throw damaged('is of something else than a plain file');
  const octal = /^([0-7]{11})[ \0]$/.exec(block.toString('latin1', 124, 136))?.[1];
  if (octal === undefined) throw damaged('gives no size');
  const prefix = field(block, 345, 500);
  const name = field(block, 0, 100);
  return { path: prefix === '' ? name : `${prefix}/${name}`, size: Number.parseInt(octal, 8) };
}

/** A text field: up to its first NUL. */
function field(block: Buffer, start: number, end: number): string {
  const text = block.toString('latin1', start, end);
  const nul = text.indexOf('\0');
  return nul === -1 ? text : text.slice(0, nul);
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

interface SequentialInput {
  /** Bytes taken so far. */
  offset: () => number;
  /** Exactly this many bytes; a Finding `incomplete` that says where when there are fewer. */
  take: (length: number, where: string) => Promise<Buffer>;
  /** The same, in pieces. */
  stream: (length: number, where: string) => AsyncGenerator<Buffer>;
  /** Everything to the end, in pieces. */
  rest: () => AsyncGenerator<Buffer>;
}

function sequentialInput(file: FileHandle): SequentialInput {
  let held: Buffer = Buffer.alloc(0);
  let offset = 0;

  /** Between 1 and `most` bytes; none at the end of the file. */
  const some = async (most: number): Promise<Buffer> => {
    if (held.length === 0) {
      // A new buffer each time: pieces that were handed out stay as they are.
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      held = buffer.subarray(0, await readFully(file, buffer, offset));
    }
    const piece = held.subarray(0, most);
    held = held.subarray(piece.length);
    offset += piece.length;
    return piece;
  };

  async function* stream(length: number, where: string): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      const piece = await some(left);
      if (piece.length === 0) {
        throw incomplete(`The bundle is cut off: it ends at byte ${offset}, ${where}.`);
      }
      left -= piece.length;
      yield piece;
    }
  }

  return {
    offset: () => offset,
    stream,
    take: async (length, where) => {
      const pieces: Buffer[] = [];
      for await (const piece of stream(length, where)) pieces.push(piece);
      const [only] = pieces;
      return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
    },
    rest: async function* rest() {
      for (let piece = await some(READ_BYTES); piece.length > 0; piece = await some(READ_BYTES)) {
        yield piece;
      }
    },
  };
}
