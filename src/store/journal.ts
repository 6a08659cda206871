/**
 * The journal: a file of fixed size in which the entries of proxied requests are made durable before they are carried
 * over into the database, many at a time. One write and one sync of a file that never grows take a third of what a
 * commit of the database takes; every request waits for two of them.
 *
 * It is a sequence of frames, one for each commit, from the file's beginning:
 *
 *     magic(4) payload length(4) generation(8) number(8) index of the first entry(8) payload SHA-256 of all before(32)
 *
 * big-endian; a payload is, for each entry, its length(4), the length of its salt(1), the salt and the entry's bytes.
 * The database says up to which generation it holds what was here. The frames of the next one that follow each other
 * without a gap are what it lacks; whatever lies behind them is left over.
 */
import { hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Name of the journal in the data directory. */
export const JOURNAL_FILE = 'sallyport.journal';

/** An entry as the journal keeps it. */
export interface JournalEntry {
  bytes: Buffer;
  /** What stands beside the entry of an intent: the salt of its request's commitments. */
  salt: Uint8Array | undefined;
}

export interface JournalFrame {
  generation: bigint;
  /** Place of its first entry in the log. */
  firstIndex: number;
  entries: JournalEntry[];
}

/** Where the database says up to which generation it holds what was in the journal. */
export const TAKEN_OVER = 'journal_taken_over';

/** The disk did not take a frame. It may be there all the same, until the next commit of the database voids it. */
export class JournalFailure extends Error {}

const MAGIC = 0x53504a31; // "SPJ1"
const HEAD_BYTES = 32;
const DIGEST_BYTES = 32;
const RECORD_HEAD_BYTES = 5;

/** Holds a few hundred entries of usual size. What does not fit goes into the database at once. */
export const CAPACITY = 4 * 1024 * 1024;

export class Journal {
  readonly path: string;
  readonly #fd: number;
  readonly #frame = Buffer.alloc(CAPACITY);
  /** Of the frames that are written next. */
  #generation = 1n;
  #number = 0;
  #offset = 0;
  /** Where the last byte that is not zero can be. */
  #usedBytes = CAPACITY;

  /**
   * Opens a journal, or makes one: in its full size, so that later writes change nothing but its content and a full
   * disk cannot refuse them.
   *
   * @throws what the file system says
   */
  constructor(path: string) {
    this.path = path;
    this.#fd = openOrMake(path);
  }

  /** Whether nothing was written, or tried to be written, since the database took everything over. */
  get isEmpty(): boolean {
    return this.#number === 0;
  }

  get generation(): bigint {
    return this.#generation;
  }

  /**
   * Frames that the database lacks, in order.
   *
   * @param takenOver the generation up to which the database holds everything
   * @throws when the file goes on from a newer database
   */
  lackedFrames(takenOver: bigint): JournalFrame[] {
    const all = Buffer.alloc(CAPACITY);
    for (let at = 0, read = -1; read !== 0; at += read)
      read = readSync(this.#fd, all, at, CAPACITY - at, at);
    const [first] = readFrames(all);
    if (first && first.generation > takenOver + 1n) {
      throw new Error(
        `${this.path} goes on from a newer database than the one beside it: it is at ${first.generation}, the database at ${takenOver}. Put the newest database back; or, to go on from this one and give up what came after it, move the journal away.`,
      );
    }
    return framesAfter(all, takenOver);
  }

  /** Begins anew behind what the database has taken over. Durable with that commit of the database, not here. */
  begin(generation: bigint): void {
    this.#generation = generation;
    this.#number = 0;
    this.#offset = 0;
  }

  /**
   * Makes entries durable. A crash before it has returned leaves a frame that is whole or void: the next start takes it
   * over or does not, and nobody was told of it.
   *
   * @param firstIndex place of the first one in the log
   * @returns false when they do not fit: then nothing was written
   * @throws JournalFailure when the disk did not take them
   */
  append(firstIndex: number, entries: readonly JournalEntry[]): boolean {
    const bytes = this.#writeFrame(firstIndex, entries);
    if (bytes === undefined) return false;
    // From here on, a frame of this number may be there.
    this.#number += 1;
    this.#usedBytes = Math.max(this.#usedBytes, this.#offset + bytes);
    try {
      for (let written = 0; written < bytes;)
        written += writeSync(
          this.#fd,
          this.#frame,
          written,
          bytes - written,
          this.#offset + written,
        );
      fdatasyncSync(this.#fd);
    } catch (error) {
      throw new JournalFailure(`The journal could not be written: ${String(error)}`);
    }
    this.#offset += bytes;
    return true;
  }

  /** @throws when somebody has cut the file, and what is written next would not be found */
  mustBeWhole(): void {
    if (fstatSync(this.#fd).size < CAPACITY)
      throw new Error(`${this.path} was cut while the broker was running.`);
  }

  /**
   * Overwrites what was here with zeros: for what must not be read any more. Only where the database has taken everything
   * over.
   *
   * @throws what the file system says
   */
  wipe(): void {
    if (this.#usedBytes === 0) return;
    this.#frame.fill(0, 0, this.#usedBytes);
    for (let at = 0; at < this.#usedBytes;)
      at += writeSync(this.#fd, this.#frame, at, this.#usedBytes - at, at);
    fdatasyncSync(this.#fd);
    this.#usedBytes = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #writeFrame(firstIndex: number, entries: readonly JournalEntry[]): number | undefined {
    const frame = this.#frame;
    let payload = 0;
    for (const { bytes, salt } of entries)
      payload += RECORD_HEAD_BYTES + (salt?.length ?? 0) + bytes.length;
    const length = HEAD_BYTES + payload + DIGEST_BYTES;
    if (this.#offset + length > CAPACITY) return undefined;
    frame.writeUInt32BE(MAGIC, 0);
    frame.writeUInt32BE(payload, 4);
    frame.writeBigUInt64BE(this.#generation, 8);
    frame.writeBigUInt64BE(BigInt(this.#number), 16);
    frame.writeBigUInt64BE(BigInt(firstIndex), 24);
    let at = HEAD_BYTES;
    for (const { bytes, salt } of entries) {
      frame.writeUInt32BE(bytes.length, at);
      frame[at + 4] = salt?.length ?? 0;
      at += RECORD_HEAD_BYTES;
      if (salt) {
        frame.set(salt, at);
        at += salt.length;
      }
      frame.set(bytes, at);
      at += bytes.length;
    }
    frame.set(hash('sha256', frame.subarray(0, at), 'buffer'), at);
    return length;
  }
}

/** The frames of a journal that a database lacks. @param takenOver the generation up to which it holds everything */
export function framesAfter(journal: Buffer, takenOver: bigint): JournalFrame[] {
  const frames: JournalFrame[] = [];
  for (const frame of readFrames(journal)) {
    // What lies behind it is left over from before.
    if (frame.generation !== takenOver + 1n || frame.number !== frames.length) break;
    frames.push(frame);
  }
  return frames;
}

interface ReadFrame extends JournalFrame {
  number: number;
  length: number;
}

function* readFrames(journal: Buffer): Generator<ReadFrame> {
  let frame = readFrame(journal, 0);
  for (let at = 0; frame; frame = readFrame(journal, at)) {
    yield frame;
    at += frame.length;
  }
}

/** The frame at a place; undefined where there is none, or not the whole of it. */
function readFrame(all: Buffer, offset: number): ReadFrame | undefined {
  const end = all.length;
  if (offset + HEAD_BYTES + DIGEST_BYTES > end || all.readUInt32BE(offset) !== MAGIC)
    return undefined;
  const payload = all.readUInt32BE(offset + 4);
  const digestAt = offset + HEAD_BYTES + payload;
  if (digestAt + DIGEST_BYTES > end) return undefined;
  const digest = hash('sha256', all.subarray(offset, digestAt), 'buffer');
  if (!digest.equals(all.subarray(digestAt, digestAt + DIGEST_BYTES))) return undefined;
  const entries: JournalEntry[] = [];
  for (let at = offset + HEAD_BYTES; at < digestAt;) {
    const saltAt = at + RECORD_HEAD_BYTES;
    const bytesAt = saltAt + (all[at + 4] as number);
    const next = bytesAt + all.readUInt32BE(at);
    const salt = bytesAt > saltAt ? Buffer.from(all.subarray(saltAt, bytesAt)) : undefined;
    entries.push({ bytes: Buffer.from(all.subarray(bytesAt, next)), salt });
    at = next;
  }
  return {
    generation: all.readBigUInt64BE(offset + 8),
    number: Number(all.readBigUInt64BE(offset + 16)),
    firstIndex: Number(all.readBigUInt64BE(offset + 24)),
    entries,
    length: HEAD_BYTES + payload + DIGEST_BYTES,
  };
}

/** Readable by its owner alone, like the database: it holds the same. */
function openOrMake(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const { size } = fstatSync(fd);
    if (size >= CAPACITY) return fd;
    // Also where a crash came before it had its size: there is nothing in it then, or what is in it stays.
    const zeroes = Buffer.alloc(65_536);
    for (let at = size; at < CAPACITY;)
      at += writeSync(fd, zeroes, 0, Math.min(zeroes.length, CAPACITY - at), at);
    fsyncSync(fd);
    syncDirectory(dirname(path));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** That the file is found again after a crash. */
function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
