/** A body on its way to the keeper: whole with others where it is short, record by record where it is not. */
import { RefusedError, refusal } from '../../core/denials.ts';
import type { Keeping } from '../../core/transcripts/keeping.ts';
import { RECORD_BYTES, recordHead } from '../../core/transcripts/records.ts';
import type { BodyName, StoredFile } from './messages.ts';

/** Whoever waits to hear that something is stored. */
interface StoreWaiter {
  name: BodyName;
  resolve(this: void, file: StoredFile | undefined): void;
  reject(this: void, error: Error): void;
  /** When it is told that it was not, by `now`. */
  dueAt: number;
}

/** A body that is stored together with others, as its one record. */
export interface WholeBody extends StoreWaiter {
  head: string;
  bytes: Uint8Array;
}

/** A record of a body that is a file of its own. */
export interface BodyPiece extends StoreWaiter {
  bytes: Uint8Array;
  isFirst: boolean;
  isLast: boolean;
}

/** Where bodies go. */
export interface HandsOver {
  whole(this: void, keeping: Keeping, body: WholeBody): void;
  piece(this: void, keeping: Keeping, piece: BodyPiece): void;
  /** Resolves when there is room for more, and fails where there is none in time; undefined: there is. */
  room(this: void, dueAt: number): Promise<void> | undefined;
  /** Milliseconds, for deadlines. */
  now(this: void): number;
  withdraw(this: void, name: BodyName): void;
}

/** Records of one body that are not stored yet: beyond it, its upstream is read no further. */
const MOST_PIECES = 8;

const LINE_FEED = 0x0a;

export class KeptBody {
  readonly #to: HandsOver;
  readonly #keeping: Keeping;
  readonly #name: BodyName;
  readonly #salt: string;
  readonly #patienceMs: number;
  /** What was not handed over yet: the one chunk that came, or a buffer of ours with all that came. */
  #held: Uint8Array | undefined;
  #buffer: Buffer | undefined;
  #heldBytes = 0;
  /** Records that were handed over, and those of them that are not stored yet. */
  #pieces = 0;
  #unstored = 0;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;
  #isOver = false;

  constructor(
    to: HandsOver,
    keeping: Keeping,
    body: BodyName & { salt: string; patienceMs: number },
  ) {
    const { request, part, salt, patienceMs } = body;
    this.#to = to;
    this.#keeping = keeping;
    this.#name = { request, part };
    this.#salt = salt;
    this.#patienceMs = patienceMs;
  }

  /**
   * Takes bytes, which must not change any more.
   *
   * @returns a promise where no more is to come until it has resolved
   * @throws RefusedError `transcript_unavailable` where what came before could not be stored
   */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#failure) throw this.#failure;
    for (let at = 0; at < bytes.length;) {
      if (this.#heldBytes === RECORD_BYTES) {
        void this.#handOver(false);
        const room = this.#room();
        const rest = at;
        if (room) return room.then(() => this.write(bytes.subarray(rest)));
      }
      const taken = Math.min(RECORD_BYTES - this.#heldBytes, bytes.length - at);
      this.#hold(bytes.subarray(at, at + taken));
      at += taken;
    }
    return undefined;
  }

  /**
   * Ends the body. When this returns, it is durable.
   *
   * @returns the file that it is in; undefined where there was nothing to keep
   * @throws RefusedError `transcript_unavailable`
   */
  end(): Promise<StoredFile | undefined> {
    this.#isOver = true;
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#pieces > 0) return this.#handOver(true);
    if (this.#heldBytes === 0) return Promise.resolve(undefined);
    const bytes = this.#taken();
    return new Promise((resolve, reject) =>
      this.#to.whole(this.#keeping, {
        name: this.#name,
        resolve,
        reject,
        dueAt: this.#dueAt,
        head: this.#head(bytes, true),
        bytes,
      }),
    );
  }

  /** Nobody is to keep it: what of it is stored goes. */
  drop(): void {
    if (this.#pieces > 0 || this.#isOver) this.#to.withdraw(this.#name);
    this.#failure ??= new RefusedError(refusal('transcript_unavailable'));
  }

  /** Of what is handed over now. */
  get #dueAt(): number {
    return this.#to.now() + this.#patienceMs;
  }

  /** One chunk, as most bodies are, is not copied. */
  #hold(bytes: Uint8Array): void {
    if (this.#heldBytes === 0 && !this.#buffer) this.#held = bytes;
    else {
      const buffer = this.#grown(this.#heldBytes + bytes.length);
      if (this.#held) buffer.set(this.#held);
      this.#held = undefined;
      buffer.set(bytes, this.#heldBytes);
    }
    this.#heldBytes += bytes.length;
  }

  #grown(length: number): Buffer {
    const before = this.#buffer;
    if (before && before.length >= length) return before;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(RECORD_BYTES, Math.max(1_024, 2 * length)));
    before?.copy(this.#buffer, 0, 0, this.#heldBytes);
    return this.#buffer;
  }

  #taken(): Uint8Array {
    const bytes = this.#held ?? (this.#buffer ?? Buffer.alloc(0)).subarray(0, this.#heldBytes);
    this.#held = undefined;
    this.#heldBytes = 0;
    return bytes;
  }

  #head({ length }: Uint8Array, last: boolean): string {
    return recordHead({ ...this.#name, salt: this.#salt, bytes: length, last });
  }

  #handOver(isLast: boolean): Promise<StoredFile | undefined> {
    const body = this.#taken();
    const head = this.#head(body, isLast);
    // Its memory goes to the other thread.
    const bytes = Buffer.allocUnsafeSlow(recordLength(head, body));
    writeRecord(bytes, 0, head, body);
    const isFirst = this.#pieces === 0;
    this.#pieces += 1;
    this.#unstored += 1;
    const dueAt = this.#dueAt;
    const stored = new Promise<StoredFile | undefined>((resolve, reject) =>
      this.#to.piece(this.#keeping, {
        name: this.#name,
        resolve,
        reject,
        dueAt,
        bytes,
        isFirst,
        isLast,
      }),
    );
    stored
      .catch((error: Error) => (this.#failure ??= error))
      .finally(() => {
        this.#unstored -= 1;
        this.#wake?.();
      });
    return stored;
  }

  #room(): Promise<void> | undefined {
    if (this.#unstored < MOST_PIECES) return this.#to.room(this.#dueAt);
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** Bytes of a record: its head is ASCII. */
export const recordLength = (head: string, body: Uint8Array): number =>
  head.length + body.length + 1;

/** Writes a record. @returns where it ends */
export function writeRecord(to: Buffer, at: number, head: string, body: Uint8Array): number {
  to.write(head, at, 'latin1');
  to.set(body, at + head.length);
  const end = at + recordLength(head, body);
  to[end - 1] = LINE_FEED;
  return end;
}
