/** Requests in flight, each decided again whenever policy changes or its time runs out. */
import type { Decision } from '../core/access.ts';
import { refusal, type Refusal } from '../core/denials.ts';
import type { Order } from '../core/orders/order.ts';
import type { Clock } from '../lib/clock.ts';
import type { Cancellation } from '../lib/cancellation.ts';
import { Slots, type Slotted } from '../lib/slots.ts';

/** A request that was cut, for the acknowledgement of what cut it. */
export interface Cut {
  requestId: string;
  personId: string;
  grantId: string;
  tokenId: string;
  at: number;
  refusal: Refusal;
}

export interface LiveRequest extends Slotted {
  requestId: string;
  personId: string;
  grantId: string;
  tokenId: string;
  /** Whether the answer is to be a stream. */
  stream: boolean;
  /** Decides the request once more, on the policy as it is now; or with other orders, for a preview. */
  decide(now: number, orders?: readonly Order[]): Decision;
  /** Cancelled, with a {@link Refusal} as its reason, when the request may not go on. */
  cancellation: Cancellation;
}

/** Cuts remembered for acknowledgements. */
const REMEMBERED_CUTS = 10_000;

/** setTimeout takes no longer delay. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class LiveRequests {
  readonly #clock: Clock;
  readonly #live = new Slots<LiveRequest>();
  #cuts: Cut[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  readonly #whenEmpty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#live.size;
  }

  /** Those that have not been cut. */
  *all(): Generator<LiveRequest> {
    for (const request of this.#live) if (!request.cancellation.isCancelled) yield request;
  }

  /** Of those, how many stream. Looks at each of them. */
  get streams(): number {
    let streams = 0;
    for (const { stream } of this.#live) if (stream) streams += 1;
    return streams;
  }

  /**
   * Enters a request *before* its intent is recorded: an order that commits right after the intent must
   * find it here.
   *
   * @param until when it ends if nothing else changes, epoch milliseconds
   */
  enter(request: LiveRequest, until: number): void {
    this.#live.add(request);
    this.#wakeAt(until);
  }

  leave(request: LiveRequest): void {
    this.#live.delete(request);
    if (this.#live.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Resolves when nothing is in flight. */
  empty(): Promise<void> {
    if (this.#live.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  /** Decides every live request again and cuts those that may not go on. */
  decideAgain(): void {
    const now = this.#clock();
    let next = Infinity;
    for (const request of this.#live) {
      if (request.cancellation.isCancelled) continue;
      const decision = request.decide(now);
      if (decision.allowed) {
        next = Math.min(next, decision.until);
        continue;
      }
      const { requestId, personId, grantId, tokenId } = request;
      const { refusal: why } = decision;
      this.#cuts.push({ requestId, personId, grantId, tokenId, at: now, refusal: why });
      request.cancellation.cancel(why);
    }
    if (this.#cuts.length > REMEMBERED_CUTS) this.#cuts = this.#cuts.slice(-REMEMBERED_CUTS);
    this.#wakeAt(next);
  }

  /** Cuts everything that is left: the broker is going down. */
  cutAll(): void {
    for (const request of this.#live) request.cancellation.cancel(refusal('shutting_down'));
  }

  cutsBy(orderId: string): Cut[] {
    return this.#cuts.filter((cut) => cut.refusal.orders?.includes(orderId));
  }

  /** What was cut because these tokens ended. */
  cutsWith(tokenIds: readonly string[]): Cut[] {
    const ended = new Set(tokenIds);
    return this.#cuts.filter(
      (cut) => cut.refusal.code === 'token_revoked' && ended.has(cut.tokenId),
    );
  }

  /** A grant that ends by its window has no commit to announce it. */
  #wakeAt(at: number): void {
    if (at >= this.#timerAt || at === Infinity) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const delay = Math.min(Math.max(0, at - this.#clock()), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      this.decideAgain();
    }, delay);
    this.#timer.unref();
  }
}
