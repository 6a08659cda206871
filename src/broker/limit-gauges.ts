/** How the limits and budgets of the grants that stand are used, as metrics. */
import type { Gauge } from 'prom-client';
import { grantStanding } from '../core/access.ts';
import { NOTHING_CONFIGURED } from '../core/configured.ts';
import { budgetsLeft } from '../core/budgets-left.ts';
import { RefusedError } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Limits } from '../core/limits.ts';
import type { GrantUse } from '../store/operations/limiter-state.ts';
import type { Broker } from './broker.ts';

/** Grants that are looked up in one operation of the writer. */
const GRANTS_AT_A_TIME = 4;

/** Grants that are shown; each comes to eighteen series at most. */
const MOST_GRANTS = 500;

/** Names of limits and budgets as labels. */
const LIMITS = {
  requestsPerMinute: 'requests_per_minute',
  tokensPerMinute: 'tokens_per_minute',
  concurrent: 'concurrent',
} as const;
const BUDGETS = {
  requests: 'requests',
  tokens: 'tokens',
  requestsPerDay: 'requests_per_day',
  tokensPerDay: 'tokens_per_day',
  spendUsd: 'spend_usd',
} as const;

export class LimitGauges {
  readonly #broker: Broker;
  readonly #notShown: Gauge;
  readonly #inFlight: Gauge;
  readonly #reserved: Gauge;
  readonly #limit: Gauge;
  readonly #limitLeft: Gauge;
  readonly #budget: Gauge;
  readonly #budgetLeft: Gauge;

  constructor(broker: Broker) {
    const { metrics } = broker;
    this.#broker = broker;
    this.#notShown = metrics.gauge(
      'grants_not_shown',
      `Grants that stand and are not among the ${MOST_GRANTS} newest, which are shown`,
    );
    const ofGrant = ['grant'];
    this.#inFlight = metrics.gauge('grant_requests_in_flight', 'Requests in flight', ofGrant);
    this.#reserved = metrics.gauge(
      'grant_tokens_reserved',
      'Tokens that requests in flight hold in reserve',
      ofGrant,
    );
    const ofLimit = ['grant', 'limit'];
    this.#limit = metrics.gauge('grant_limit', 'A limit of the grant', ofLimit);
    this.#limitLeft = metrics.gauge(
      'grant_limit_remaining',
      'What is left of a limit of the grant at this moment',
      ofLimit,
    );
    const ofBudget = ['grant', 'budget'];
    this.#budget = metrics.gauge('grant_budget', 'A budget of the grant', ofBudget);
    this.#budgetLeft = metrics.gauge(
      'grant_budget_remaining',
      'What is left of a budget when what is reserved is counted as used',
      ofBudget,
    );
  }

  /** Looks everything up. Grants that have ended are gone from it, and all are while the log cannot be written. */
  async read(): Promise<void> {
    const { policy, clock } = this.#broker;
    const now = clock();
    const standing = [...policy.grants()]
      .filter((grant) => stands(grant, now))
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    const shown = new Map(standing.slice(0, MOST_GRANTS).map((grant) => [grant.id, grant]));
    const uses = await this.#usesOf([...shown.values()], now);
    for (const gauge of [
      this.#inFlight,
      this.#reserved,
      this.#limit,
      this.#limitLeft,
      this.#budget,
      this.#budgetLeft,
    ])
      gauge.reset();
    this.#notShown.set(standing.length - shown.size);
    for (const use of uses) this.#show(shown.get(use.grantId) as Grant, use);
  }

  async #usesOf(grants: readonly Grant[], at: number): Promise<GrantUse[]> {
    const { store } = this.#broker;
    if (!store.isWritable || grants.length === 0) return [];
    const asked = grants.map(({ id, spec: { budgets } }) => ({
      id,
      daily: budgets.requestsPerDay !== null || budgets.tokensPerDay !== null,
    }));
    try {
      const uses: GrantUse[] = [];
      // A few at a time: requests wait for the same thread.
      for (let i = 0; i < asked.length; i += GRANTS_AT_A_TIME) {
        const some = asked.slice(i, i + GRANTS_AT_A_TIME);
        uses.push(...(await store.write('limiterState', { at, grants: some })));
      }
      return uses;
    } catch (error) {
      // That the log cannot be written is a metric of its own.
      if (error instanceof RefusedError) return [];
      throw error;
    }
  }

  #show({ id: grant, spec }: Grant, { charged, minute, day }: GrantUse): void {
    this.#inFlight.set({ grant }, charged.requestsReserved);
    this.#reserved.set({ grant }, charged.tokensReserved);
    const used: Record<keyof Limits, number> = {
      requestsPerMinute: minute.requests,
      tokensPerMinute: minute.tokens,
      concurrent: charged.requestsReserved,
    };
    for (const [name, limit] of entriesOf(LIMITS)) {
      const cap = spec.limits[name];
      if (cap === null) continue;
      this.#limit.set({ grant, limit }, cap);
      this.#limitLeft.set({ grant, limit }, Math.max(0, cap - used[name]));
    }
    const left = budgetsLeft(spec.budgets, charged, day ?? { requests: 0, tokens: 0 });
    for (const [name, budget] of entriesOf(BUDGETS)) {
      const one = left[name];
      if (one === null) continue;
      this.#budget.set({ grant, budget }, one.cap);
      this.#budgetLeft.set({ grant, budget }, one.left);
    }
  }
}

/** Whether requests pass under a grant, will when its window begins, or would if no order stopped them. */
function stands(grant: Grant, now: number): boolean {
  const { status } = grantStanding(grant, [], now, NOTHING_CONFIGURED);
  return status === 'active' || status === 'scheduled';
}

const entriesOf = <K extends string, V>(record: Record<K, V>): [K, V][] =>
  Object.entries(record) as [K, V][];
