/** Whether a reader takes bytes fast enough to be worth a place that others wait for. */

/** So many bytes at least within so many milliseconds that the reader was waited for. */
export interface Pace {
  bytes: number;
  withinMs: number;
}

/**
 * Measures a reader. What counts is the time in which bytes wait for the reader, and not the time in which the reader waits
 * for bytes.
 */
export class ReaderPace {
  readonly #least: Pace;
  readonly #tooSlow: () => void;
  #bytes = 0;
  #waitedMs = 0;

  /** @param tooSlow is called once the reader is too slow */
  constructor(least: Pace, tooSlow: () => void) {
    this.#least = least;
    this.#tooSlow = tooSlow;
  }

  /** Bytes are offered. @returns what is to be called when they were taken, or will not be */
  offer(bytes: number): () => void {
    const begun = performance.now();
    const timer = setTimeout(this.#tooSlow, Math.max(0, this.#least.withinMs - this.#waitedMs));
    return () => {
      clearTimeout(timer);
      this.#waitedMs += performance.now() - begun;
      this.#bytes += bytes;
      if (this.#bytes < this.#least.bytes) return;
      this.#bytes = 0;
      this.#waitedMs = 0;
    };
  }
}
