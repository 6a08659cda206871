/** Tells those who follow the log that it may have grown. It holds no entries: each reads at its own pace. */
import { setTimeout as delay } from 'node:timers/promises';

export class LogFeed {
  #changed: Promise<void>;
  #tell: () => void = () => undefined;
  #isClosed = false;

  constructor() {
    this.#changed = this.#next();
  }

  /** Whether nobody is to wait any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves at the next change. To be taken before one looks: a change while one looks is not to be missed. */
  get changed(): Promise<void> {
    return this.#changed;
  }

  /** Called when entries, or what decides who may read them, can have changed. */
  notify(): void {
    const tell = this.#tell;
    if (!this.#isClosed) this.#changed = this.#next();
    tell();
  }

  /**
   * Resolves at the next change, after so many milliseconds, or when a signal aborts; never rejects.
   *
   * @param changed as taken before; without it, the next change from now on
   */
  async wait(mostMs: number, signal?: AbortSignal, changed = this.#changed): Promise<void> {
    if (this.#isClosed || signal?.aborted) return;
    const over = new AbortController();
    const end = (): void => over.abort();
    signal?.addEventListener('abort', end);
    const timer = delay(mostMs, undefined, { signal: over.signal, ref: false });
    await Promise.race([changed, timer.catch(() => undefined)]);
    signal?.removeEventListener('abort', end);
    end();
  }

  /** Wakes everybody, and lets nobody wait again. */
  close(): void {
    this.#isClosed = true;
    this.notify();
  }

  #next(): Promise<void> {
    return new Promise((resolve) => (this.#tell = resolve));
  }
}
