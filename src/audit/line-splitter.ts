/** Splits pieces of a file into lines without copying more than the lines that cross two pieces. */
import { MAX_ENTRY_BYTES } from '../core/audit/entry.ts';

const NEWLINE = 0x0a;

/** Thrown for a line longer than an entry can be, so that a forged file cannot fill the memory. */
export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

/** Takes the pieces in order. */
export interface LineSplitter {
  /** The lines that end in this piece, without their newlines. Throws LineTooLong. */
  push: (piece: Buffer) => Iterable<Buffer>;
  /** What came after the last newline. */
  rest: () => Buffer;
}

/** Starts a {@link LineSplitter}. */
export function createLineSplitter(): LineSplitter {
  let rest: Buffer = Buffer.alloc(0);
  const assertLength = (line: Buffer): Buffer => {
    if (line.length > MAX_ENTRY_BYTES) throw new LineTooLong();
    return line;
  };
  return {
    *push(piece) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
        yield assertLength(bytes.subarray(start, end));
        start = end + 1;
      }
      rest = assertLength(bytes.subarray(start));
    },
    rest: () => rest,
  };
}
