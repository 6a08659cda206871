/** The exports that are being made. */
import type { Readable } from 'node:stream';
import type { Written } from '../audit/exports/chunk-sink.ts';
import type { ExportPlan } from '../audit/exports/export-plan.ts';
import { refuse } from '../core/denials.ts';
import { ExportRun } from './export-run.ts';

/** Exports at once, of all and of one lab: each has a thread, and reads the disk that requests wait for. */
const MOST = 4;
const MOST_OF_LAB = 2;

/** A client that takes nothing for so long is taken for gone; it can go on where it was. */
const MOST_STALLED_MS = 120_000;

/** How far an export has come. */
export interface Progress {
  entries: number;
  bytes: number;
}

export class ExportThreads {
  readonly #thread: URL;
  readonly #database: string;
  readonly #isBusy: () => boolean;
  readonly #running = new Map<ExportRun, { id: string; labId: string }>();

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

  /** @throws RefusedError `too_busy` where as many exports are running as may */
  mustHaveRoom(labId: string): void {
    const running = [...this.#running.values()];
    if (running.length >= MOST)
      refuse('too_busy', 'As many exports are running as may at once. Try again in a minute.');
    if (running.filter((one) => one.labId === labId).length >= MOST_OF_LAB)
      refuse('too_busy', `${MOST_OF_LAB} exports of your lab are running. Wait for one to end.`);
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
   * @param skip bytes at its beginning that are left out
   * @param complete is called when all is written, and before the last bytes are handed out: they wait for it
   */
  make(
    plan: ExportPlan,
    labId: string,
    skip: number,
    complete: (what: Written) => Promise<void>,
  ): Readable {
    const run = this.#start(plan, labId, skip);
    return run.read(complete, { stalledMs: MOST_STALLED_MS, isBusy: this.#isBusy });
  }

  /** Makes an export and keeps nothing of it but its length and digest. */
  measure(plan: ExportPlan, labId: string): Promise<Written> {
    return this.#start(plan, labId, null).written();
  }

  #start(plan: ExportPlan, labId: string, skip: number | null): ExportRun {
    const run = new ExportRun(this.#thread, this.#database, plan, skip);
    this.#running.set(run, { id: plan.id, labId });
    void run.ended.then(() => this.#running.delete(run));
    return run;
  }

  #runsOf(exportId: string): ExportRun[] {
    return [...this.#running].flatMap(([run, { id }]) => (id === exportId ? [run] : []));
  }
}
