/** Deliveries: a notice on its way out through one channel, tried until it has arrived or is given up. */

export const DELIVERY_STATES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** Why an attempt failed: our word, never a text of the other side. */
export type DeliveryFailure =
  /** No connection, or none that can be trusted (TLS), or it broke. */
  | 'unreachable'
  | 'timeout'
  /** The receiver said no, and may say yes later. */
  | 'refused'
  /** The receiver wants no more of them (HTTP 410). */
  | 'gone'
  /** The mail server takes no mail for this address, or not this mail (SMTP 5yz). */
  | 'rejected'
  /** The mail server refused our user and password. */
  | 'login_failed'
  /** Our own secret for the channel cannot be read, or is not one. */
  | 'secret_unusable'
  /** The configuration has no such channel any more. */
  | 'channel_removed';

/** How one attempt ended. */
export type Attempt =
  | { delivered: true }
  | {
      delivered: false;
      failure: DeliveryFailure;
      /** Of HTTP or SMTP, where there was an answer. */
      status?: number | undefined;
      /** Whether trying again is useless. */
      isFinal?: boolean | undefined;
      /** What the receiver asked for (Retry-After). */
      retryAfterMs?: number | undefined;
    };

export interface Delivery {
  id: string;
  noticeId: string;
  /** Id of the channel in the configuration. */
  channel: string;
  state: DeliveryState;
  /** Since it was written, or replayed. */
  attempts: number;
  createdAt: number;
  /** When it is tried next; null unless pending. */
  nextAt: number | null;
  /** When it was delivered, or given up. */
  endedAt: number | null;
  /** Of the last attempt that failed. */
  failure: DeliveryFailure | null;
  status: number | null;
  failedAt: number | null;
}

const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 12 * 3_600_000;

/** With the pauses below, about three days. */
const MOST_ATTEMPTS = 16;

/** A pause is shorter than its step by up to this part, so that what failed together does not come back together. */
const JITTER = 0.25;

/**
 * When a delivery is tried again: after 5 seconds, then three times as long each time, up to 12 hours.
 *
 * @param attempts that were made, the one that has just failed included
 * @param chance from 0 up to 1
 * @returns milliseconds from now; undefined: it is given up
 */
export function pauseBeforeRetry(
  attempts: number,
  {
    isFinal,
    retryAfterMs = 0,
  }: { isFinal?: boolean | undefined; retryAfterMs?: number | undefined },
  chance: number,
): number | undefined {
  if (isFinal || attempts >= MOST_ATTEMPTS) return undefined;
  const step = Math.min(FIRST_PAUSE_MS * 3 ** (attempts - 1), LONGEST_PAUSE_MS);
  return Math.max(
    Math.round(step * (1 - JITTER * chance)),
    Math.min(retryAfterMs, LONGEST_PAUSE_MS),
  );
}
