/**
 * A trailing window over requests and tokens, in buckets. A bucket counts until its last possible member
 * has left the window, so a limit is never exceeded in *any* span of that length; the price is that room
 * comes back up to one bucket late. Windows that end at clock boundaries would allow twice the limit.
 */
import type { WindowUse } from './limits.ts';

interface Bucket {
  /** Number of the bucket since the epoch. */
  slot: number;
  requests: number;
  tokens: number;
}

export class TrailingWindow {
  readonly #spanMs: number;
  readonly #bucketMs: number;
  #buckets: Bucket[] = [];
  #requests = 0;
  #tokens = 0;

  /**
   * @param spanMs length of the window, milliseconds
   * @param bucketMs length of a bucket, milliseconds
   */
  constructor(spanMs: number, bucketMs: number) {
    this.#spanMs = spanMs;
    this.#bucketMs = bucketMs;
  }

  /** Counts requests and tokens at a time. Either may be negative: a reservation that settled for less. */
  add(at: number, requests: number, tokens: number): void {
    const slot = Math.floor(at / this.#bucketMs);
    let i = this.#buckets.length;
    while (i > 0 && (this.#buckets[i - 1] as Bucket).slot > slot) i -= 1;
    let bucket = this.#buckets[i - 1];
    if (bucket?.slot !== slot) {
      // A correction for a bucket that has already left must not be counted against the window.
      if (requests < 0 || tokens < 0) return;
      bucket = { slot, requests: 0, tokens: 0 };
      this.#buckets.splice(i, 0, bucket);
    }
    bucket.requests += requests;
    bucket.tokens += tokens;
    this.#requests += requests;
    this.#tokens += tokens;
  }

  /** What the window holds at a time. The answer is good until the next `add` or `use`. */
  use(now: number): WindowUse {
    const staying = this.#buckets.findIndex((bucket) => this.#leavesAt(bucket) > now);
    // All at once: after a restart a day of them can leave, and one by one that takes minutes.
    const leaving = staying === -1 ? this.#buckets.splice(0) : this.#buckets.splice(0, staying);
    for (const gone of leaving) {
      this.#requests -= gone.requests;
      this.#tokens -= gone.tokens;
    }
    return {
      requests: this.#requests,
      tokens: this.#tokens,
      msUntilRequestsAtMost: (most) => this.#msUntil(now, this.#requests, most, 'requests'),
      msUntilTokensAtMost: (most) => this.#msUntil(now, this.#tokens, most, 'tokens'),
    };
  }

  #leavesAt(bucket: Bucket): number {
    return (bucket.slot + 1) * this.#bucketMs + this.#spanMs;
  }

  #msUntil(now: number, total: number, most: number, what: 'requests' | 'tokens'): number {
    let left = total;
    for (const bucket of this.#buckets) {
      if (left <= most) return 0;
      left -= bucket[what];
      if (left <= most) return Math.max(0, this.#leavesAt(bucket) - now);
    }
    return left <= most ? 0 : this.#spanMs;
  }
}

/** The window for limits per minute. */
export const minuteWindow = (): TrailingWindow => new TrailingWindow(60_000, 250);

/** The window for budgets per day: any 24 hours, not a calendar day. */
export const dayWindow = (): TrailingWindow => new TrailingWindow(86_400_000, 60_000);
