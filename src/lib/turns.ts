/** Sharing the thread that serves everybody: long work goes on a few milliseconds at a time. */

/** How long work goes on before others have their turn, milliseconds. */
const ONE_TURN_MS = 5;

/** The turns of one piece of work. */
export class Turns {
  #began = performance.now();

  /** Whether it is the others' turn. */
  get isOver(): boolean {
    return performance.now() - this.#began > ONE_TURN_MS;
  }

  /** Resolves when everything that waited has been seen to once. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    this.#began = performance.now();
  }
}
