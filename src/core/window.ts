/**
 * A trailing window over requests and tokens, in buckets. A bucket counts until its last member has left the
 * window, so a limit is never exceeded in *any* span of that length; the price is that room comes back up to
 * one bucket late. Windows that end at clock boundaries would allow twice the limit.
 */
import type { WindowUse } from './limits.ts';

interface Bucket {
  /** Number of the bucket since the epoch. */
  slot: number;
  /** When its last member is over, by the grain of the window. */
  endsAt: number;
  requests: number;
  tokens: number;
}

export class TrailingWindow {
  readonly #spanMs: number;
  readonly #bucketMs: number;
  readonly #grainMs: number;
  #buckets: Bucket[] = [];
  #requests = 0;
  #tokens = 0;

  /**
   * @param spanMs length of the window, milliseconds
   * @param bucketMs length of a bucket, milliseconds
   * @param grainMs how exactly times are known, milliseconds: a member counts as one of the last moment
   */
  constructor(spanMs: number, bucketMs: number, grainMs: number) {
    this.#spanMs = spanMs;
    this.#bucketMs = bucketMs;
    this.#grainMs = grainMs;
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
      bucket = { slot, endsAt: 0, requests: 0, tokens: 0 };
      this.#buckets.splice(i, 0, bucket);
    }
    const endsAt = (Math.floor(at / this.#grainMs) + 1) * this.#grainMs;
    bucket.endsAt = Math.max(bucket.endsAt, endsAt);
    bucket.requests += requests;
    bucket.tokens += tokens;
    this.#requests += requests;
    this.#tokens += tokens;
  }

  /** What the window holds at a time. The answer is good until the next `add` or `use`. */
  use(now: number): WindowUse {
    const [oldest] = this.#buckets;
    if (oldest && this.#leavesAt(oldest) <= now) this.#drop(now);
    return {
      requests: this.#requests,
      tokens: this.#tokens,
      msUntilRequestsAtMost: (most) => this.#msUntil(now, this.#requests, most, 'requests'),
      msUntilTokensAtMost: (most) => this.#msUntil(now, this.#tokens, most, 'tokens'),
    };
  }

  #drop(now: number): void {
    const staying = this.#buckets.findIndex((bucket) => this.#leavesAt(bucket) > now);
    // All at once: after a restart a day of them can leave, and one by one that takes minutes.
    const leaving = staying === -1 ? this.#buckets.splice(0) : this.#buckets.splice(0, staying);
    for (const gone of leaving) {
      this.#requests -= gone.requests;
      this.#tokens -= gone.tokens;
    }
  }

  #leavesAt(bucket: Bucket): number {
    return bucket.endsAt + this.#spanMs;
  }

  #msUntil(now: number, total: number, most: number, what: 'requests' | 'tokens'): number {
    if (total <= most) return 0;
    // Down to nothing means: until the newest bucket leaves, and there can be hundreds before it.
    if (most === 0) return this.#leavesLast(now, what);
    let left = total;
    for (const bucket of this.#buckets) {
      left -= bucket[what];
      if (left <= most) return Math.max(0, this.#leavesAt(bucket) - now);
    }
    return this.#spanMs;
  }

  #leavesLast(now: number, what: 'requests' | 'tokens'): number {
    const last = this.#buckets.findLast((bucket) => bucket[what] > 0);
    return last ? Math.max(0, this.#leavesAt(last) - now) : 0;
  }
}

/** The window for limits per minute. */
export const minuteWindow = (): TrailingWindow => new TrailingWindow(60_000, 250, 1);

/** The window for budgets per day: any 24 hours, not a calendar day. */
export const dayWindow = (): TrailingWindow => new TrailingWindow(86_400_000, 60_000, 60_000);
