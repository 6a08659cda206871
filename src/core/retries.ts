/** When what the broker does by itself is tried again after it failed. */

const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 3_600_000;

/**
 * After 5 seconds, then twice as long each time, up to an hour. It is never given up: what is due stays due.
 *
 * @param attempts that failed, 1 or more
 * @returns milliseconds
 */
export const pauseBeforeNext = (attempts: number): number =>
  Math.min(FIRST_PAUSE_MS * 2 ** (attempts - 1), LONGEST_PAUSE_MS);
