/** Tells the time in epoch milliseconds. Handed to whatever needs it, so that tests can set it. */
export type Clock = () => number;

/** The machine's clock. */
export const systemClock: Clock = () => Date.now();
