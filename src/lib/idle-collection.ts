/** Gives memory back after a burst: V8 collects when it allocates, and a process with nothing to do does not. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is not more than this is kept: a collection takes some 30 ms, in which nobody is served. */
const WORTH_BYTES = 16 << 20;

/** Looks in a row without anything done between them, before it is called idle. */
const QUIET_LOOKS = 3;

/** For one thread: each has a heap of its own. To be asked to look about once a second. */
export class IdleCollection {
  #done = 0;
  #quietLooks = 0;
  #kept = usedBytes();
  #collect: (() => void) | undefined;

  /**
   * @param done how much the thread has done so far: a count that only grows
   * @param isBusy whether it is at something that takes long
   */
  look(done: number, isBusy = false): void {
    this.#quietLooks = !isBusy && done === this.#done ? this.#quietLooks + 1 : 0;
    this.#done = done;
    if (this.#quietLooks !== QUIET_LOOKS || usedBytes() - this.#kept < WORTH_BYTES) return;
    this.#collect ??= collector();
    this.#collect();
    // What buffers held is counted until the collection after the one that freed them.
    this.#collect();
    this.#kept = usedBytes();
  }
}

/** Of the heap and of buffers, bytes. */
function usedBytes(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

/**
 * Node hands the function out only behind a flag, which new contexts heed. It is the whole process's, so that it is
 * not taken back: another thread may be about to make its context.
 */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
