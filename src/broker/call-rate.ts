/** Bounds how often one address may call what anybody may call without showing who they are. */
import { refuse } from '../core/denials.ts';
import { subscriberNetwork } from '../core/networks.ts';
import type { Clock } from '../lib/clock.ts';

const WINDOW_MS = 60_000;

/** Addresses remembered: bounds memory. With more of them in a minute, the oldest are forgotten. */
const MOST_REMEMBERED = 10_000;

export class CallRate {
  readonly #clock: Clock;
  readonly #most: number;
  /** Oldest first. */
  readonly #calls = new Map<string, { count: number; since: number }>();

  /** @param most calls of one address in a minute */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Counts a call. @throws RefusedError `too_many_calls` */
  admit(address: string): void {
    const now = this.#clock();
    const key = subscriberNetwork(address);
    const before = this.#calls.get(key);
    const age = now - (before?.since ?? -Infinity);
    const isCurrent = before !== undefined && age >= 0 && age < WINDOW_MS;
    const calls = isCurrent ? before : { count: 0, since: now };
    if (calls.count >= this.#most)
      refuse('too_many_calls', undefined, { retryAfterMs: calls.since + WINDOW_MS - now });
    calls.count += 1;
    if (isCurrent) return;
    this.#calls.delete(key);
    this.#calls.set(key, calls);
    const oldest = this.#calls.keys().next();
    if (this.#calls.size > MOST_REMEMBERED && !oldest.done) this.#calls.delete(oldest.value);
  }
}
