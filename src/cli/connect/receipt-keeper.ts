/**
 * Keeps the receipt of each call of a run. Calls never wait for it: their ids are noted when they end, and their receipts
 * are fetched some at a time, again and again until they are there.
 */
import { RECEIPTS_AT_A_TIME } from '../receipts/ask.ts';

/** Calls that end close to each other are asked for together: each asking is an entry of the log. */
const TOGETHER_MS = 3_000;

/** After a failure, and after each further one twice as long. */
const LONGEST_PAUSE_MS = 60_000;

/** A receipt that was not there this often, seconds apart, is not there: refusals can be counted together. */
const MOST_ASKED = 4;

/** At the end: the last ones have this long. */
const END_MS = 10_000;

/** Between two askings at the end. */
const END_PAUSE_MS = 300;

export interface KeeperParts {
  /** Asks for receipts of at most 100 requests, by id; those that are not there are absent. */
  ask: (requests: string[]) => Promise<Map<string, string>>;
  /**
   * Checks a receipt and writes it to the disk.
   *
   * @returns whole: it has everything that a call leaves; part: more is to come; refused: it is not what it must be, and
   *   was not written
   */
  keep: (request: string, receipt: string) => Promise<'whole' | 'part' | 'refused'>;
  /** It failed, the first time since it last succeeded. */
  onTrouble: (error: unknown) => void;
}

/** How it ended. */
export interface Kept {
  kept: number;
  /** The log has nothing under these ids. */
  absent: string[];
  /** Of these, the broker gave something that is no sound receipt. */
  refused: string[];
  /** These could not be fetched, or not written. */
  left: string[];
}

export class ReceiptKeeper {
  readonly #parts: KeeperParts;
  /** Ended calls without a receipt, and how often the broker had none. Oldest first. */
  readonly #wanted = new Map<string, number>();
  readonly #absent: string[] = [];
  readonly #refused: string[] = [];
  readonly #over = new AbortController();
  #kept = 0;
  #running: Promise<void> | undefined;
  #isTroubled = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** A call has ended. */
  ended(request: string): void {
    this.#wanted.set(request, 0);
    if (this.#over.signal.aborted) return;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  /** Fetches what is left, for ten seconds at most, or until a signal. To be called when no call runs any more. */
  async stop(signal: AbortSignal): Promise<Kept> {
    this.#over.abort();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), END_MS);
    const until = AbortSignal.any([late.signal, signal]);
    await Promise.race([this.#running, aborted(until)]);
    while (this.#wanted.size > 0 && !until.aborted) {
      const before = this.#wanted.size;
      await Promise.race([this.#step(), aborted(until)]);
      if (this.#wanted.size === before) await pauseFor(END_PAUSE_MS, until);
    }
    clearTimeout(timer);
    return {
      kept: this.#kept,
      absent: this.#absent,
      refused: this.#refused,
      left: [...this.#wanted.keys()],
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    for (let pause = TOGETHER_MS; this.#wanted.size > 0 && !signal.aborted;) {
      await pauseFor(pause, signal);
      if (signal.aborted) return;
      const isWell = await this.#step();
      pause = isWell ? TOGETHER_MS : Math.min(LONGEST_PAUSE_MS, pause * 2);
    }
  }

  /** Asks once for as many as there can be. @returns whether that succeeded, which says nothing of what was there */
  async #step(): Promise<boolean> {
    const asked = [...this.#wanted.keys()].slice(0, RECEIPTS_AT_A_TIME);
    try {
      const receipts = await this.#parts.ask(asked);
      for (const request of asked) await this.#take(request, receipts.get(request));
      this.#isTroubled = false;
      return true;
    } catch (error) {
      if (!this.#isTroubled) this.#parts.onTrouble(error);
      this.#isTroubled = true;
      return false;
    }
  }

  async #take(request: string, receipt: string | undefined): Promise<void> {
    const came = receipt === undefined ? 'absent' : await this.#parts.keep(request, receipt);
    if (came === 'whole') {
      this.#wanted.delete(request);
      this.#kept += 1;
      return;
    }
    // Behind the others: what is late must not keep them waiting.
    const times = (this.#wanted.get(request) ?? 0) + 1;
    this.#wanted.delete(request);
    if (came === 'absent' && times >= MOST_ASKED) this.#absent.push(request);
    else if (came === 'refused' && times >= MOST_ASKED) this.#refused.push(request);
    else this.#wanted.set(request, times);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Waits so long, milliseconds, or until a signal. */
function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
