/** The exports that are being made. */
import type { Readable } from 'node:stream';
import type { Written } from '../audit/exports/chunk-sink.ts';
import type { ExportPlan } from '../audit/exports/export-plan.ts';
import type { Lab } from '../core/people.ts';
import { ExportRun } from './export-run.ts';
import { ExportSlots, type ExportSlot, type Making } from './export-slots.ts';
import type { Pace } from './reader-pace.ts';

/** 35 kB a second: a client that takes less gives its place up, and can go on where it was. */
const LEAST: Pace = { bytes: 4_194_304, withinMs: 120_000 };

/** How far an export has come. */
export interface Progress {
  entries: number;
  bytes: number;
}

export class ExportThreads {
  readonly #thread: URL;
  readonly #database: string;
  readonly #isBusy: () => boolean;
  readonly #slots = new ExportSlots();
  /** With the export that each is of. */
  readonly #running = new Map<ExportRun, string>();

  /**
   * @param thread the compiled file of the thread
   * @param database path of the database
   * @param isBusy whether requests are under way, which come first
   */
  constructor(thread: URL, database: string, isBusy: () => boolean) {
    this.#thread = thread;
    this.#database = database;
    this.#isBusy = isBusy;
  }

  /**
   * Takes a place for what is to be made, at once. It is to be cancelled where nothing comes of it.
   *
   * @throws RefusedError `too_busy` where as many are running as may
   */
  takeSlot(making: Making, lab: Pick<Lab, 'id' | 'kind'>): ExportSlot {
    return this.#slots.take(making, lab);
  }

  progressOf(exportId: string): Progress | undefined {
    const run = this.#runsOf(exportId).find(({ isComplete }) => !isComplete);
    return run && { entries: run.entries, bytes: run.bytes };
  }

  /** Ends an export that is running, if it is: its reader sees it break off. */
  async end(exportId: string): Promise<void> {
    await Promise.all(this.#runsOf(exportId).map((run) => run.end()));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((run) => run.end()));
  }

  /**
   * Makes an export, as fast as it is read. When the stream is destroyed, that ends.
   *
   * @param slot its place, which is given back with the thread
   * @param skip bytes at its beginning that are left out
   * @param complete is called when all is written, and before the last bytes are handed out: they wait for it
   */
  make(
    plan: ExportPlan,
    slot: ExportSlot,
    skip: number,
    complete: (what: Written) => Promise<void>,
  ): Readable {
    const run = this.#start(plan, skip);
    slot.holdUntil(run.ended);
    return run.read(complete, { least: LEAST, isBusy: this.#isBusy });
  }

  /**
   * Makes an export and keeps nothing of it but its length and digest. When it returns, the thread has ended: whoever
   * has a place for it has it still.
   *
   * @param gone aborts when nobody waits for it any more
   * @param key of a keyed digest that is wanted, too
   * @throws the reason of `gone`; Error where it fails
   */
  async measure(plan: ExportPlan, gone: AbortSignal, key: string | null = null): Promise<Written> {
    const run = this.#start(plan, null, key);
    const end = (): void => void run.end();
    gone.addEventListener('abort', end);
    try {
      return await run.written();
    } catch (error) {
      gone.throwIfAborted();
      throw error;
    } finally {
      gone.removeEventListener('abort', end);
      await run.ended;
    }
  }

  #start(plan: ExportPlan, skip: number | null, key: string | null = null): ExportRun {
    const run = new ExportRun(this.#thread, this.#database, { plan, skip, key });
    this.#running.set(run, plan.id);
    void run.ended.then(() => this.#running.delete(run));
    return run;
  }

  #runsOf(exportId: string): ExportRun[] {
    return [...this.#running].flatMap(([run, id]) => (id === exportId ? [run] : []));
  }
}
