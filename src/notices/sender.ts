/** What takes a notice out of the house, through one channel. */
import type { Attempt } from '../core/deliveries.ts';
import type { Notice } from '../core/notices.ts';

export interface OutgoingNotice {
  notice: Notice;
  /** When this attempt is made; epoch milliseconds. */
  at: number;
  /** The broker's origin as clients see it. */
  broker: string;
}

export interface Sender {
  /**
   * Makes one attempt. Whatever the other side does is an answer; a signal that aborts ends the attempt at once, and
   * the answer is then of no interest.
   */
  deliver(outgoing: OutgoingNotice, signal: AbortSignal): Promise<Attempt>;
  /** Lets go of connections. */
  close(): void;
}
