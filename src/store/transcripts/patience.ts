/** Time for deadlines that another thread has to keep, as far as this one could have heard of it. */

/** While this thread was held up for longer, it could not hear that anything is done. */
const LONGEST_STEP_MS = 100;

export class Patience {
  #passed = 0;
  #lookedAt = performance.now();

  /** Milliseconds of some beginning on, without what this thread was held up for. */
  get now(): number {
    return this.#passed + Math.min(performance.now() - this.#lookedAt, LONGEST_STEP_MS);
  }

  /** Goes on from here. To be called often while anybody waits. */
  look(): void {
    this.#passed = this.now;
    this.#lookedAt = performance.now();
  }
}
