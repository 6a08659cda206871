/**
 * Refusals of callers who have not shown who they are. They are counted and recorded together, once a
 * minute, so that nobody without a credential can fill the log.
 */
import type { DenialCode } from '../core/denials.ts';
import type { Clock } from '../lib/clock.ts';
import { mintId } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';
import type { Door, Metrics } from './metrics.ts';

const FLUSH_EVERY_MS = 60_000;

export class UnauthenticatedTally {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #timer: NodeJS.Timeout;
  /** Bounded by the number of doors and of codes. */
  #counts = new Map<string, number>();
  #since: number;

  constructor(parts: { store: Store; clock: Clock; log: Logger; metrics: Metrics }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#since = parts.clock();
    this.#timer = setInterval(() => void this.flush(), FLUSH_EVERY_MS);
    this.#timer.unref();
  }

  count(door: Door, code: DenialCode): void {
    this.#metrics.refused(door, 'unknown', code);
    const key = `${door} ${code}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** Records what was counted. What cannot be recorded stays counted. */
  async flush(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = this.#counts;
    const since = this.#since;
    const at = this.#clock();
    this.#counts = new Map();
    this.#since = at;
    try {
      await this.#store.write('recordEntry', {
        entry: {
          id: mintId('ent', at),
          kind: 'request.unauthenticated',
          at,
          actor: { system: 'broker' },
          decision: 'denied',
          data: { since: new Date(since).toISOString(), counts: Object.fromEntries(counts) },
        },
      });
    } catch (error) {
      for (const [key, count] of counts)
        this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
      this.#since = since;
      this.#log.warn(
        { err: String(error) },
        'refusals of unauthenticated callers could not be recorded yet',
      );
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
