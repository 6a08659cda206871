/** Bytes of an export in chunks that cross to another thread, at the pace at which that one takes them. */
import { createHash, createHmac, type Hmac } from 'node:crypto';
import type { ExportSink } from './export-plan.ts';

/** Small enough for the thread that sends them on to see to others in between. */
const CHUNK_BYTES = 262_144;

/** Chunks that are on their way at once. */
export const MOST_UNDERWAY = 8;

/** What is said between the two threads without messages: 32-bit integers in memory that both see. */
export const ROOM = 0;
export const ENDED = 1;
export const SHARED_BYTES = 8;

/** Whoever reads has gone. */
export class ReaderGone extends Error {}

/** What is known of an export when all of it was written. */
export interface Written {
  entries: number;
  bytes: number;
  /** Of all bytes, also of those that were left out; hex. */
  sha256: string;
  /** HMAC-SHA-256 of the same bytes, hex; where a key for it was given. */
  keyed?: string;
}

export interface Chunk {
  bytes: ArrayBuffer;
  /** Entries that were written so far. */
  entries: number;
}

export class ChunkSink implements ExportSink {
  readonly #hash = createHash('sha256');
  readonly #hmac: Hmac | undefined;
  readonly #shared: Int32Array;
  readonly #send: ((chunk: Chunk) => void) | undefined;
  readonly #skip: number;
  #chunk = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #bytes = 0;
  #entries = 0;

  /**
   * @param shared memory of {@link SHARED_BYTES} that the reader makes room in
   * @param send takes a chunk over; undefined: the bytes are only counted
   * @param skip bytes at the beginning that the reader has already
   * @param key of a keyed digest of all bytes; null: none is wanted
   */
  constructor(
    shared: Int32Array,
    send: ((chunk: Chunk) => void) | undefined,
    skip: number,
    key: string | null,
  ) {
    this.#hmac = key === null ? undefined : createHmac('sha256', key);
    this.#shared = shared;
    this.#send = send;
    this.#skip = skip;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + CHUNK_BYTES - this.#filled);
      this.#chunk.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === CHUNK_BYTES) this.#flush();
    }
  }

  wrote(entries: number): void {
    this.#entries += entries;
  }

  /** Sends what is left. */
  end(): Written {
    this.#flush();
    const sha256 = this.#hash.digest('hex');
    const written = { entries: this.#entries, bytes: this.#bytes, sha256 };
    return this.#hmac ? { ...written, keyed: this.#hmac.digest('hex') } : written;
  }

  #flush(): void {
    if (Atomics.load(this.#shared, ENDED) === 1) throw new ReaderGone();
    const filled = this.#chunk.subarray(0, this.#filled);
    this.#hash.update(filled);
    this.#hmac?.update(filled);
    const begun = this.#bytes;
    this.#bytes += filled.length;
    const wanted = filled.subarray(Math.max(0, this.#skip - begun));
    this.#filled = 0;
    if (this.#send === undefined || wanted.length === 0) return;
    this.#takeRoom();
    // Of its own, and as long as its bytes: it is handed over whole.
    const whole = wanted.length === CHUNK_BYTES ? this.#chunk.buffer : wanted.slice().buffer;
    if (wanted.length === CHUNK_BYTES) this.#chunk = new Uint8Array(CHUNK_BYTES);
    this.#send({ bytes: whole, entries: this.#entries });
  }

  /** Waits until the reader has taken a chunk. Blocks this thread, which has nothing else to do. */
  #takeRoom(): void {
    for (;;) {
      const room = Atomics.load(this.#shared, ROOM);
      if (Atomics.load(this.#shared, ENDED) === 1) throw new ReaderGone();
      if (room > 0) {
        Atomics.sub(this.#shared, ROOM, 1);
        return;
      }
      Atomics.wait(this.#shared, ROOM, room);
    }
  }
}
