/** Settling requests: the outcome entry and the ledger, until they are durable. */
import { jsonMembers } from '../core/audit/entry.ts';
import { RefusedError, refusal } from '../core/denials.ts';
import { outcomeMembers } from '../core/requests.ts';
import type { Clock } from '../lib/clock.ts';
import { mintId } from '../lib/ids.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';
import type { SettleArgs } from '../store/operations/requests.ts';

export type Settlement = Omit<SettleArgs, 'at' | 'entryId'>;

/** How often a settlement is tried again while the log cannot be written. */
const RETRY_EVERY_MS = 250;

/** What fails for another reason is tried less and less often. */
const LONGEST_PAUSE_MS = 30_000;

/** A process that ends does not wait longer for one: its next start closes what is open. */
const LAST_TRY_MS = 900;

interface Unsettled {
  settlement: Settlement;
  /** Not tried before, by the clock that only goes forward. */
  notBefore: number;
  pauseMs: number;
}

/**
 * Settles requests. A settlement that cannot be recorded now is kept and tried until it is; should the
 * process die before, recovery closes the request as unknown at its full reservation.
 */
export class Settler {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #unsettled = new Map<string, Unsettled>();
  #timer: NodeJS.Timeout | undefined;
  #retrying = false;

  constructor(parts: { store: Store; clock: Clock; log: Logger }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Settlements that could not be recorded yet. */
  get waiting(): number {
    return this.#unsettled.size;
  }

  /**
   * Records the outcome. Only when this has returned may the last byte of the answer go out.
   *
   * @throws RefusedError `log_unavailable`; the settlement is then tried again by itself
   */
  async settle(settlement: Settlement): Promise<void> {
    try {
      await this.#write(settlement);
    } catch (error) {
      this.#unsettled.set(settlement.requestId, {
        settlement,
        notBefore: 0,
        pauseMs: RETRY_EVERY_MS,
      });
      this.#retryLater();
      this.#log.error(
        { requestId: settlement.requestId, err: String(error) },
        'outcome could not be recorded; trying again',
      );
      // In its own words: "nothing is forwarded", as it says before, would not be true any more.
      throw new RefusedError(
        refusal(
          'log_unavailable',
          'The outcome of this request could not be recorded yet, so the end of its answer is withheld.',
        ),
      );
    }
  }

  /** Gives a reservation back whose request was never forwarded. */
  giveBack(requestId: string, note: string): void {
    const usage = { inputTokens: 0, outputTokens: 0, source: 'none' as const };
    const charge = { requests: 0 as const, tokens: 0, spendNanoUsd: 0 };
    const settlement: Settlement = {
      requestId,
      charge,
      data: jsonMembers({ note }),
      result: outcomeMembers('not_forwarded', usage, charge),
    };
    // What fails is kept and tried again by settle itself.
    this.settle(settlement).catch(() => undefined);
  }

  /** Tries once more what is left. For the end of the process. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#store.isWritable) await this.#retryAll(LAST_TRY_MS);
    clearTimeout(this.#timer);
  }

  async #write(settlement: Settlement, deadlineMs?: number): Promise<void> {
    const at = this.#clock();
    try {
      await this.#store.write(
        'settle',
        {
          requestId: settlement.requestId,
          at,
          entryId: mintId('ent', at),
          charge: settlement.charge,
          reason: settlement.reason,
          orders: settlement.orders,
          data: settlement.data,
          result: settlement.result,
        },
        deadlineMs === undefined ? {} : { deadlineMs },
      );
    } catch (error) {
      // An earlier try was recorded after all, later than its deadline.
      if (error instanceof RefusedError && error.refusal.code === 'already_decided') return;
      throw error;
    }
  }

  #retryLater(): void {
    if (this.#timer || this.#retrying) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#retryAll();
    }, RETRY_EVERY_MS);
  }

  async #retryAll(deadlineMs?: number): Promise<void> {
    this.#retrying = true;
    for (const [requestId, unsettled] of this.#unsettled) {
      if (deadlineMs === undefined && performance.now() < unsettled.notBefore) continue;
      try {
        await this.#write(unsettled.settlement, deadlineMs);
        this.#unsettled.delete(requestId);
      } catch (error) {
        this.#log.warn(
          { requestId, waiting: this.#unsettled.size, err: String(error) },
          'outcome still not recorded',
        );
        // Where the log is what failed, the others would fail the same way.
        if (error instanceof RefusedError && error.refusal.code === 'log_unavailable') break;
        unsettled.notBefore = performance.now() + unsettled.pauseMs;
        unsettled.pauseMs = Math.min(LONGEST_PAUSE_MS, unsettled.pauseMs * 2);
      }
    }
    this.#retrying = false;
    if (this.#unsettled.size > 0) this.#retryLater();
  }
}
