/**
 * Slows those who fail to show who they are again and again. The answer to a failure is held back, the
 * longer the more failures there were by the same name or from the same address; a success never waits,
 * so that nobody can lock somebody else out by failing in their name. Only an address that fails without
 * end gets no tokens for a while, nor does whoever shares it: what its failures cost is bounded.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { refuse } from '../core/denials.ts';
import { subscriberNetwork } from '../core/networks.ts';
import type { Clock } from '../lib/clock.ts';

/** Failures within this time count together. */
const WINDOW_MS = 60_000;
/** So many are answered at once: anybody mistypes. */
const FREE = 3;
const SHORTEST_HOLD_MS = 125;
/** Answers held back at a time, and names remembered: bounds of memory. */
const MOST_HELD = 1_000;
const MOST_REMEMBERED = 20_000;

export interface BrakeSettings {
  /** No answer is held back for longer. */
  longestHoldMs: number;
  /** From so many failures in a minute on, an address is refused unheard until the minute is over. */
  mostOfAddress: number;
}

interface Failures {
  count: number;
  since: number;
}

export class FailureBrake {
  readonly #clock: Clock;
  readonly #settings: BrakeSettings;
  /** Oldest first. */
  readonly #failures = new Map<string, Failures>();
  #held = 0;

  constructor(clock: Clock, settings: BrakeSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** @throws RefusedError `too_many_failures` for an address that has failed too often of late */
  admit(address: string): void {
    const failures = this.#of(`address ${subscriberNetwork(address)}`);
    if (failures.count < this.#settings.mostOfAddress) return;
    refuse('too_many_failures', undefined, {
      retryAfterMs: failures.since + WINDOW_MS - this.#clock(),
    });
  }

  /**
   * Notes a failure and waits for as long as its answer is to be held back.
   *
   * @param client the name that was claimed, where one was
   */
  async hold(address: string, client: string | undefined): Promise<void> {
    const keys = [`address ${subscriberNetwork(address)}`];
    if (client !== undefined) keys.push(`client ${client.slice(0, 200)}`);
    const most = Math.max(...keys.map((key) => this.#note(key)));
    if (most <= FREE || this.#held >= MOST_HELD) return;
    this.#held += 1;
    try {
      await delay(
        Math.min(this.#settings.longestHoldMs, SHORTEST_HOLD_MS * 2 ** (most - FREE - 1)),
      );
    } finally {
      this.#held -= 1;
    }
  }

  #of(key: string): Failures {
    const failures = this.#failures.get(key);
    const now = this.#clock();
    const age = now - (failures?.since ?? -Infinity);
    // A clock that was set back must not make the window any longer.
    return failures && age >= 0 && age < WINDOW_MS ? failures : { count: 0, since: now };
  }

  #note(key: string): number {
    const { count, since } = this.#of(key);
    this.#failures.delete(key);
    this.#failures.set(key, { count: count + 1, since });
    const oldest = this.#failures.keys().next();
    if (this.#failures.size > MOST_REMEMBERED && !oldest.done) this.#failures.delete(oldest.value);
    return count + 1;
  }
}
