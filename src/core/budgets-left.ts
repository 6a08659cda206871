/** What is left of budgets, for showing. What decides is checkCaps (limits.ts), on the same sums. */
import { usdToNano, type Budgets, type Charged } from './limits.ts';

/** A budget and what is left of it when what is reserved is counted as used; null where there is no cap. */
export type BudgetLeft = { cap: number; left: number } | null;

/**
 * @param day requests and tokens charged in the last 24 hours
 */
export function budgetsLeft(
  budgets: Budgets,
  charged: Charged,
  day: { requests: number; tokens: number },
): Record<keyof Budgets, BudgetLeft> {
  const left = (cap: number | null, used: number): BudgetLeft =>
    cap === null ? null : { cap, left: Math.max(0, cap - used) };
  const spentNano = charged.spendSettledNanoUsd + charged.spendReservedNanoUsd;
  return {
    requests: left(budgets.requests, charged.requestsSettled + charged.requestsReserved),
    tokens: left(budgets.tokens, charged.tokensSettled + charged.tokensReserved),
    requestsPerDay: left(budgets.requestsPerDay, day.requests),
    tokensPerDay: left(budgets.tokensPerDay, day.tokens),
    spendUsd:
      budgets.spendUsd === null
        ? null
        : {
            cap: budgets.spendUsd,
            left: Math.max(0, usdToNano(budgets.spendUsd) - spentNano) / 1e9,
          },
  };
}
