/** What takes entries of the log out of the house, to one receiver. */
import type { ForwardAttempt } from '../core/forwarding.ts';

/** An entry on its way. */
export interface OutgoingEntry {
  index: number;
  /** The exact bytes: what was hashed. */
  bytes: Buffer;
}

export interface Forwarder {
  /**
   * Makes one attempt to hand entries over, all or none. `delivered` is said only of what the receiver has: what a
   * connection or a cache may still lose is not. Whatever the other side does is an answer; `signal` ends the attempt at
   * once, and the answer is then of no interest.
   *
   * @param at epoch milliseconds of this attempt
   */
  forward(
    entries: readonly OutgoingEntry[],
    at: number,
    signal: AbortSignal,
  ): Promise<ForwardAttempt>;
  /** Lets go of connections and threads. */
  close(): void;
}

const NEWLINE = Buffer.from('\n');

/** Entries as JSON lines: each as it is, and a line feed. */
export const jsonLines = (entries: readonly OutgoingEntry[]): Buffer =>
  Buffer.concat(entries.flatMap(({ bytes }) => [bytes, NEWLINE]));
