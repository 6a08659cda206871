/**
 * Entries as JSON lines to a file. A thread of its own writes it: a disk or a network file system that hangs holds up that
 * thread, and neither the broker nor the threads in which Node reads files and looks up names.
 */
import { Worker } from 'node:worker_threads';
import type { FileReceiver, ForwardAttempt } from '../core/forwarding.ts';
import type { LinesFile } from './append-lines.ts';
import { jsonLines, type Forwarder, type OutgoingEntry } from './forwarder.ts';

/** What the thread answers to lines. */
export interface Appended {
  failed?: string;
}

const UNWRITABLE: ForwardAttempt = { delivered: false, failure: 'unwritable' };

export class FileForwarder implements Forwarder {
  readonly #file: LinesFile;
  readonly #thread: URL;
  readonly #onFailed: (why: string) => void;
  #worker: Worker | undefined;
  /** What the thread has not answered yet: an attempt that was given up may still be written. */
  #underWay: Promise<ForwardAttempt> | undefined;

  /**
   * @param thread the compiled file of the thread
   * @param onFailed told why the file could not be written
   */
  constructor(
    { path, maxBytes, keep }: FileReceiver,
    thread: URL,
    onFailed: (why: string) => void,
  ) {
    this.#file = { path, maxBytes, keep };
    this.#thread = thread;
    this.#onFailed = onFailed;
  }

  async forward(
    entries: readonly OutgoingEntry[],
    _at: number,
    signal: AbortSignal,
  ): Promise<ForwardAttempt> {
    // One at a time: the lines of an attempt that was given up must not come in between.
    while (this.#underWay) await this.#underWay;
    if (signal.aborted) return UNWRITABLE;
    this.#underWay = this.#append(jsonLines(entries)).finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }

  close(): void {
    // A thread that hangs in a system call cannot be ended; the process does not wait for it.
    this.#worker?.unref();
    void this.#worker?.terminate();
  }

  #append(lines: Buffer): Promise<ForwardAttempt> {
    const worker = this.#started();
    return new Promise((resolve) => {
      const settle = (answer: Appended): void => {
        worker.off('message', settle).off('exit', onExit);
        if (answer.failed === undefined) resolve({ delivered: true });
        else {
          this.#onFailed(answer.failed);
          resolve(UNWRITABLE);
        }
      };
      const onExit = (): void => {
        this.#worker = undefined;
        settle({ failed: 'The thread that writes the file has ended.' });
      };
      worker.on('message', settle).on('exit', onExit);
      worker.postMessage(lines);
    });
  }

  #started(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(this.#thread, { workerData: this.#file });
    // What it was is said by its exit, which follows.
    worker.on('error', (error) => this.#onFailed(error.message));
    this.#worker = worker;
    return worker;
  }
}
