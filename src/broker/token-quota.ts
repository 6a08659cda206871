/** A bound on the live tokens of one person: whoever asks without end must not fill everybody's memory. */
import type { Clock } from '../lib/clock.ts';
import type { Policy } from './policy.ts';

export class TokenQuota {
  readonly #policy: Policy;
  readonly #clock: Clock;
  readonly #most: number;
  /** Tokens that are being issued, by person: the policy does not know of them yet. */
  readonly #issuing = new Map<string, number>();

  constructor(parts: { policy: Policy; clock: Clock; most: number }) {
    this.#policy = parts.policy;
    this.#clock = parts.clock;
    this.#most = parts.most;
  }

  /**
   * Takes room for one more token of a person.
   *
   * @returns gives it back, once the token is issued or refused; undefined where there is no room
   */
  take(personId: string): (() => void) | undefined {
    const issuing = this.#issuing.get(personId) ?? 0;
    if (!this.#policy.hasFewerTokens(personId, this.#most - issuing, this.#clock()))
      return undefined;
    this.#issuing.set(personId, issuing + 1);
    return () => {
      const left = (this.#issuing.get(personId) ?? 1) - 1;
      if (left > 0) this.#issuing.set(personId, left);
      else this.#issuing.delete(personId);
    };
  }
}
