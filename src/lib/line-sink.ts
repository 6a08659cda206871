/**
 * Where lines of a log go: a file descriptor that may be slow, full or broken. Nothing of that stops the process:
 * lines are gathered and written off its path, and what cannot be written is dropped and counted.
 */
import { write as writeFile, writeSync } from 'node:fs';

/** Lines are gathered for so long, or until there are so many characters: a write for each costs as much as its line. */
const GATHER_MS = 10;
const GATHER_CHARACTERS = 65_536;

/** Lines that wait while nobody reads; more are dropped, and counted. */
const MOST_WAITING_CHARACTERS = 16 * 1024 * 1024;

/** A reader that is behind is tried again so often. */
const BUSY_MS = 50;

/** A process that ends waits so long for whoever does not read, in all. */
const LONGEST_END_MS = 1_000;

export class LineSink {
  readonly #fd: number;
  readonly #onDropped: (lines: number) => void;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  /** What is being written, and how many lines it has. */
  #writing: { bytes: Buffer; lines: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;

  /** @param onDropped told how many lines were dropped, once lines can be written again */
  constructor(fd: number, onDropped: (lines: number) => void) {
    this.#fd = fd;
    this.#onDropped = onDropped;
    process.once('exit', () => this.flushSync());
  }

  write(line: string): void {
    if (this.#waitingCharacters + line.length > MOST_WAITING_CHARACTERS) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingCharacters += line.length;
    if (this.#writing) return;
    if (this.#waitingCharacters >= GATHER_CHARACTERS) this.#begin();
    else this.#timer ??= setTimeout(() => this.#begin(), GATHER_MS).unref();
  }

  /**
   * Writes what waits before it returns, as far as it can be: for the end of the process, and for what is fatal.
   * What is being written at this moment goes out by itself.
   */
  flushSync(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const until = performance.now() + LONGEST_END_MS;
    let bytes = Buffer.from(this.#take().join(''), 'utf8');
    while (bytes.length > 0) {
      try {
        bytes = bytes.subarray(writeSync(this.#fd, bytes));
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
      }
    }
  }

  #take(): string[] {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingCharacters = 0;
    return lines;
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#writing || this.#waiting.length === 0) return;
    const lines = this.#take();
    this.#writing = { bytes: Buffer.from(lines.join(''), 'utf8'), lines: lines.length };
    this.#goOn(this.#writing);
  }

  #goOn(work: { bytes: Buffer; lines: number }): void {
    writeFile(this.#fd, work.bytes, (error, written) => {
      if (error) {
        if (isBusy(error)) {
          setTimeout(() => this.#goOn(work), BUSY_MS);
          return;
        }
        // Full or broken: the next lines try again.
        this.#dropped += work.lines;
      } else {
        work.bytes = work.bytes.subarray(written);
        if (work.bytes.length > 0) return this.#goOn(work);
      }
      this.#writing = undefined;
      const dropped = this.#dropped;
      if (!error && dropped > 0) {
        this.#dropped = 0;
        this.#onDropped(dropped);
      }
      this.#begin();
    });
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
