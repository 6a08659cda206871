/** Whether requests can be served: found out when somebody asks, since an idle broker writes nothing. */
import type { Clock } from '../lib/clock.ts';
import type { Store } from '../store/client.ts';

export type ReadinessState = 'ready' | 'starting' | 'stopping' | 'log_unavailable';

/** A commit shows for this long that the log can be written. Bounds what askers can have us write, too. */
const FRESH_MS = 500;

export class Readiness {
  readonly #store: Store;
  readonly #clock: Clock;
  #phase: 'starting' | 'serving' | 'stopping' = 'starting';
  /** By the monotonic clock. */
  #wroteAt = -Infinity;
  #probing: Promise<boolean> | undefined;

  constructor({ store, clock }: { store: Store; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /** What a crash left open is closed, and requests are taken from now on. */
  serving(): void {
    this.#phase = 'serving';
  }

  /** Nothing new is taken. */
  stopping(): void {
    this.#phase = 'stopping';
  }

  get isStopping(): boolean {
    return this.#phase === 'stopping';
  }

  /** Takes note of a commit that wrote something. */
  wrote(): void {
    this.#wroteAt = performance.now();
  }

  /** Answers within a second: where nothing was written lately, it tries. */
  async state(): Promise<ReadinessState> {
    if (this.#phase !== 'serving') return this.#phase;
    if (!this.#store.isWritable) return 'log_unavailable';
    if (performance.now() - this.#wroteAt < FRESH_MS) return 'ready';
    this.#probing ??= this.#probe();
    return (await this.#probing) ? 'ready' : 'log_unavailable';
  }

  async #probe(): Promise<boolean> {
    try {
      await this.#store.write('probe', { at: this.#clock() });
      return true;
    } catch {
      // However it failed, this is the answer.
      return false;
    } finally {
      this.#probing = undefined;
    }
  }
}
