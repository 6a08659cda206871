/** One export being made: the thread that makes it, and its bytes as they are read. */
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  ENDED,
  MOST_UNDERWAY,
  ROOM,
  SHARED_BYTES,
  type Written,
} from '../audit/exports/chunk-sink.ts';
import type { ExportOrder, FromExporter } from '../audit/exports/thread-messages.ts';
import { ReaderPace, type Pace } from './reader-pace.ts';

/** A thread that was told to end has this long until it is stopped. */
const END_WITHIN_MS = 2_000;

/**
 * Between one chunk and the next while requests are under way: 25 MB a second at most. Sending as fast as a client reads
 * would take the thread that serves requests, and half of a small machine.
 */
const PAUSE_MS = 10;

/** More would be a defect: what an export holds at once is bounded. */
const MOST_HEAP = { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 32 };

export class ExportRun {
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
  /** Entries of which the bytes were handed out, and all bytes. */
  entries = 0;
  bytes: number;
  /** Whether all of it was made, and is on record. */
  isComplete = false;
  readonly #worker: Worker;
  readonly #shared: Int32Array;
  readonly #messages: FromExporter[] = [];
  #wake: (() => void) | undefined;

  /**
   * Starts the thread.
   *
   * @param thread its compiled file
   * @param database path of the database
   * @param order.skip bytes at the beginning that are not handed out; null: none are, it is only measured
   * @param order.key of a keyed digest; null: none is wanted
   */
  constructor(
    thread: URL,
    database: string,
    { plan, skip, key }: Pick<ExportOrder, 'plan' | 'skip' | 'key'>,
  ) {
    const memory = new SharedArrayBuffer(SHARED_BYTES);
    this.#shared = new Int32Array(memory);
    this.#shared[ROOM] = MOST_UNDERWAY;
    this.bytes = skip ?? 0;
    const workerData: ExportOrder = { database, plan, shared: memory, skip, key };
    this.#worker = new Worker(thread, { workerData, resourceLimits: MOST_HEAP });
    this.#worker.on('message', (message: FromExporter) => this.#put(message));
    this.#worker.on('error', ({ message }) => this.#put({ kind: 'failed', reason: message }));
    this.ended = new Promise((resolve) =>
      this.#worker.once('exit', () => {
        // Whoever still waits for a message gets none.
        this.#put({ kind: 'failed', reason: 'its thread has ended' });
        resolve();
      }),
    );
  }

  /** Has the thread end. */
  async end(): Promise<void> {
    Atomics.store(this.#shared, ENDED, 1);
    Atomics.notify(this.#shared, ROOM);
    const stopped = setTimeout(() => void this.#worker.terminate(), END_WITHIN_MS);
    await this.ended;
    clearTimeout(stopped);
  }

  /** What comes of it, where it is only measured. @throws Error where it fails */
  async written(): Promise<Written> {
    const message = await this.#take();
    if (message.kind === 'written') return message;
    throw new Error(failureOf(message));
  }

  /**
   * The bytes, as fast as they are read. When the stream is destroyed, the thread ends.
   *
   * @param complete is called when all is written, and before the last bytes are handed out: they wait for it
   * @param least what a reader has to take
   * @param isBusy whether requests are under way
   */
  read(
    complete: (what: Written) => Promise<void>,
    { least, isBusy }: { least: Pace; isBusy: () => boolean },
  ): Readable {
    const chunks = this.#chunks(complete, (chunk) => offer(chunk), isBusy);
    // What it was at is over with its thread, and says so to nobody.
    const stop = (): void => void chunks.return(undefined).catch(() => undefined);
    const stream = new Readable({
      highWaterMark: 1,
      read: () =>
        void chunks.next().then(
          ({ done, value }) => stream.push(done === true ? null : value),
          (error: Error) => stream.destroy(error),
        ),
      // At once, and not when the thread says something next: it may look for an entry for long.
      destroy: (error, done) => {
        void this.end();
        stop();
        done(error);
      },
    });
    const pace = new ReaderPace(
      least,
      () => void stream.destroy(new Error('The reader of an export is too slow.')),
    );
    function* offer(chunk: Buffer): Generator<Buffer> {
      const taken = pace.offer(chunk.length);
      try {
        yield chunk;
      } finally {
        taken();
      }
    }
    return stream;
  }

  async *#chunks(
    complete: (what: Written) => Promise<void>,
    offer: (chunk: Buffer) => Generator<Buffer>,
    isBusy: () => boolean,
  ): AsyncGenerator<Buffer> {
    let held: Buffer | undefined;
    for (;;) {
      const message = await this.#take();
      if (message.kind === 'failed') throw new Error(failureOf(message));
      if (message.kind === 'written') {
        await complete(message);
        this.isComplete = true;
        if (held) yield* offer(held);
        return;
      }
      if (held) yield* offer(held);
      held = Buffer.from(message.bytes);
      this.entries = message.entries;
      this.bytes += held.length;
      if (isBusy()) await delay(PAUSE_MS);
      Atomics.add(this.#shared, ROOM, 1);
      Atomics.notify(this.#shared, ROOM);
    }
  }

  #put(message: FromExporter): void {
    this.#messages.push(message);
    this.#wake?.();
  }

  async #take(): Promise<FromExporter> {
    for (;;) {
      const message = this.#messages.shift();
      if (message) return message;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const failureOf = (message: FromExporter): string =>
  `An export failed: ${message.kind === 'failed' ? message.reason : 'its thread said nothing of it'}`;
