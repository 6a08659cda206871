/** Reads HTTP/1.1 responses off a socket: as little as tells whether one is whole and right, at next to no cost. */

/** How much of the end of a body is kept. */
const TAIL_BYTES = 512;

const LF = 10;
const CR = 13;

/** What a body of unknown length is made of: `{size}\r\n`, so many bytes, `\r\n`; the size 0 ends it. */
type ChunkPart = 'size' | 'data' | 'after data' | 'last line';

/** One response after the other, none of which begins before the last one is whole. */
export class ResponseReader {
  status = 0;
  bodyBytes = 0;
  /** Events of a stream, so far. */
  events = 0;
  #head: Buffer | undefined;
  #inBody = false;
  #chunk: ChunkPart | undefined;
  #left = 0;
  #size = 0;
  #endsInLf = false;
  #tail: Buffer = Buffer.alloc(0);

  /** The end of the body. */
  get tail(): string {
    return this.#tail.toString('utf8');
  }

  /** Forgets the last response. */
  reset(): void {
    this.status = 0;
    this.bodyBytes = 0;
    this.events = 0;
    this.#head = undefined;
    this.#inBody = false;
    this.#endsInLf = false;
  }

  /**
   * Takes what was read; the bytes are not kept.
   *
   * @returns whether the response is whole
   * @throws when it is none
   */
  read(bytes: Buffer): boolean {
    if (this.#inBody) return this.#readBody(bytes, 0);
    const joined = this.#head ? Buffer.concat([this.#head, bytes]) : bytes;
    const end = joined.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#head = Buffer.from(joined);
      return false;
    }
    this.#readHead(joined.toString('latin1', 0, end).toLowerCase());
    this.#inBody = true;
    return this.#readBody(joined, end + 4);
  }

  #readHead(head: string): void {
    this.status = Number(head.slice(9, 12));
    if (!head.startsWith('http/1.1 ') || !(this.status > 0))
      throw new Error(`This is no response: ${head.slice(0, 100)}`);
    const at = head.indexOf('\r\ncontent-length:');
    if (at >= 0) {
      this.#chunk = undefined;
      this.#left = Number.parseInt(head.slice(at + 17), 10);
      return;
    }
    if (!/\r\ntransfer-encoding: *chunked/.test(head))
      throw new Error('The response does not say where it ends.');
    this.#chunk = 'size';
    this.#size = 0;
  }

  #readBody(bytes: Buffer, from: number): boolean {
    let at = from;
    if (this.#chunk === undefined) {
      this.#left -= bytes.length - at;
      this.#take(bytes, at, bytes.length);
      if (this.#left < 0) throw new Error('More came than the response was to have.');
      return this.#left === 0;
    }
    while (at < bytes.length) {
      if (this.#chunk === 'data') {
        const end = Math.min(bytes.length, at + this.#left);
        this.#take(bytes, at, end);
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#chunk = 'after data';
        continue;
      }
      const byte = bytes[at] as number;
      at += 1;
      if (byte === CR) continue;
      if (this.#chunk === 'size' && byte !== LF) this.#size = this.#size * 16 + hexDigit(byte);
      else if (this.#chunk === 'size') this.#beginChunk();
      else if (byte !== LF) throw new Error('A chunk of the response is not as long as it says.');
      else if (this.#chunk === 'after data') this.#chunk = 'size';
      else return true;
    }
    return false;
  }

  #beginChunk(): void {
    this.#left = this.#size;
    this.#chunk = this.#size === 0 ? 'last line' : 'data';
    this.#size = 0;
  }

  #take(bytes: Buffer, from: number, to: number): void {
    if (to === from) return;
    this.bodyBytes += to - from;
    let lf =
      this.#endsInLf && bytes[from] === LF ? from : bytes.indexOf('\n\n', from, 'latin1') + 1;
    while (lf > 0 && lf < to) {
      this.events += 1;
      lf = bytes.indexOf('\n\n', lf + 1, 'latin1') + 1;
    }
    this.#endsInLf = bytes[to - 1] === LF;
    this.#keepTail(bytes, from, to);
  }

  #keepTail(bytes: Buffer, from: number, to: number): void {
    const room = TAIL_BYTES - (to - from);
    const before = room > 0 ? this.#tail.subarray(-room) : this.#tail.subarray(0, 0);
    this.#tail = Buffer.concat([before, bytes.subarray(Math.max(from, to - TAIL_BYTES), to)]);
  }
}

function hexDigit(byte: number): number {
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  if (Number.isNaN(digit)) throw new Error('The size of a chunk is no number.');
  return digit;
}
