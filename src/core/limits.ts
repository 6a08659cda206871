/** Limits and budgets: what they are, and the rule by which a request's reservation passes or not. */
import { z } from 'zod';
import { refusal, type Refusal } from './denials.ts';

const count = z.int().min(1).max(1_000_000_000_000);

const limitsShape = {
  requestsPerMinute: count
    .nullable()
    .default(null)
    .describe('Requests admitted in any 60 seconds; null: no limit'),
  tokensPerMinute: count
    .nullable()
    .default(null)
    .describe('Tokens reserved or used in any 60 seconds; null: no limit'),
  concurrent: count.nullable().default(null).describe('Requests in flight at once; null: no limit'),
};

const budgetsShape = {
  requests: count
    .nullable()
    .default(null)
    .describe('Requests forwarded over the whole life of the grant; null: no cap'),
  tokens: count
    .nullable()
    .default(null)
    .describe('Tokens used over the whole life of the grant; null: no cap'),
  requestsPerDay: count
    .nullable()
    .default(null)
    .describe('Requests forwarded in any 24 hours; null: no cap'),
  tokensPerDay: count
    .nullable()
    .default(null)
    .describe('Tokens used in any 24 hours; null: no cap'),
  spendUsd: z
    .number()
    .positive()
    .max(5_000_000)
    .nullable()
    .default(null)
    .describe("US dollars at the endpoint's prices over the whole life of the grant; null: no cap"),
};

export const limitsSchema = z.strictObject(limitsShape);
export const budgetsSchema = z.strictObject(budgetsShape);
export type Limits = z.infer<typeof limitsSchema>;
export type Budgets = z.infer<typeof budgetsSchema>;

/** What one request may cost at most (when reserved) or did cost (when settled). */
export interface Amount {
  tokens: number;
  /** Billionths of a US dollar: the price of one token is seldom a whole millionth. */
  spendNanoUsd: number;
}

/** Charged so far: the settled cost of what has ended and the reserved cost of what has not. */
export interface Charged {
  requestsSettled: number;
  requestsReserved: number;
  tokensSettled: number;
  tokensReserved: number;
  spendSettledNanoUsd: number;
  spendReservedNanoUsd: number;
}

export const NOTHING_CHARGED: Charged = {
  requestsSettled: 0,
  requestsReserved: 0,
  tokensSettled: 0,
  tokensReserved: 0,
  spendSettledNanoUsd: 0,
  spendReservedNanoUsd: 0,
};

/** What fell into a trailing window, and when enough of it will have left. */
export interface WindowUse {
  requests: number;
  tokens: number;
  /** Milliseconds until at most this many requests are left in the window. */
  msUntilRequestsAtMost(requests: number): number;
  /** Milliseconds until at most this many tokens are left in the window. */
  msUntilTokensAtMost(tokens: number): number;
}

/** The whole use of one scope: a grant, or one person under a grant. */
export interface ScopeUse {
  charged: Charged;
  minute: WindowUse;
  day: WindowUse;
}

/** The caps that stand over one scope. */
export interface ScopeCaps {
  scope: 'grant' | 'person';
  limits: Limits;
  budgets: Budgets;
}

export const usdToNano = (usd: number): number => Math.round(usd * 1e9);

/**
 * Decides whether a request's reservation fits under every cap of one scope.
 *
 * Budgets are looked at before limits: "used up" is final and must not hide behind a "try again soon". A
 * cap that fails only because of what requests in flight hold in reserve is `budget_in_use`, since most
 * of a token reservation comes back when they settle; a reserved request does not come back, so a budget
 * of requests is used up as soon as its last one is in flight.
 *
 * @returns null when it fits
 */
export function checkCaps(use: ScopeUse, caps: ScopeCaps, amount: Amount): Refusal | null {
  const { limits, budgets, scope } = caps;
  const { charged, minute, day } = use;
  const of = scope === 'grant' ? 'of the grant' : 'per person';

  const requests = charged.requestsSettled + charged.requestsReserved;
  if (budgets.requests !== null && requests + 1 > budgets.requests) {
    return refusal(
      'quota_exhausted',
      `The budget ${of} of ${budgets.requests} requests is used up.`,
    );
  }
  if (budgets.requestsPerDay !== null && day.requests + 1 > budgets.requestsPerDay) {
    const wait = day.msUntilRequestsAtMost(budgets.requestsPerDay - 1);
    return refusal(
      'quota_exhausted',
      `The budget ${of} of ${budgets.requestsPerDay} requests a day is used up; the next is possible in ${inWords(wait)}.`,
    );
  }
  if (budgets.tokens !== null) {
    if (charged.tokensSettled + amount.tokens > budgets.tokens) {
      const left = Math.max(0, budgets.tokens - charged.tokensSettled);
      return refusal(
        'quota_exhausted',
        `The budget ${of} of ${budgets.tokens} tokens has ${left} left; this request may use ${amount.tokens}.`,
      );
    }
    if (charged.tokensSettled + charged.tokensReserved + amount.tokens > budgets.tokens) {
      return refusal(
        'budget_in_use',
        `What is left of the budget ${of} of ${budgets.tokens} tokens is reserved by requests in flight.`,
        { retryAfterMs: 1000 },
      );
    }
  }
  if (budgets.tokensPerDay !== null) {
    if (amount.tokens > budgets.tokensPerDay) {
      return refusal(
        'request_too_large_for_limit',
        `This request may use ${amount.tokens} tokens; the budget ${of} is ${budgets.tokensPerDay} a day.`,
      );
    }
    // In flight, so inside the window: what is reserved now may come back; what is left may not.
    if (day.tokens - charged.tokensReserved + amount.tokens > budgets.tokensPerDay) {
      const wait = day.msUntilTokensAtMost(budgets.tokensPerDay - amount.tokens);
      return refusal(
        'quota_exhausted',
        `The budget ${of} of ${budgets.tokensPerDay} tokens a day is used up for a request of ${amount.tokens}; it is possible in ${inWords(wait)}.`,
      );
    }
    if (day.tokens + amount.tokens > budgets.tokensPerDay) {
      return refusal(
        'budget_in_use',
        `What is left today of the budget ${of} of ${budgets.tokensPerDay} tokens is reserved by requests in flight.`,
        { retryAfterMs: 1000 },
      );
    }
  }
  if (budgets.spendUsd !== null) {
    const cap = usdToNano(budgets.spendUsd);
    if (charged.spendSettledNanoUsd + amount.spendNanoUsd > cap) {
      return refusal(
        'quota_exhausted',
        `The budget ${of} of $${budgets.spendUsd} does not cover this request.`,
      );
    }
    if (charged.spendSettledNanoUsd + charged.spendReservedNanoUsd + amount.spendNanoUsd > cap) {
      return refusal(
        'budget_in_use',
        `What is left of the budget ${of} of $${budgets.spendUsd} is reserved by requests in flight.`,
        { retryAfterMs: 1000 },
      );
    }
  }

  if (limits.tokensPerMinute !== null && amount.tokens > limits.tokensPerMinute) {
    return refusal(
      'request_too_large_for_limit',
      `This request may use ${amount.tokens} tokens; the limit ${of} is ${limits.tokensPerMinute} a minute. Lower its maximum of output tokens or send less.`,
    );
  }
  if (limits.concurrent !== null && charged.requestsReserved + 1 > limits.concurrent) {
    return refusal(
      'concurrency_limited',
      `The limit ${of} of ${limits.concurrent} concurrent requests is reached.`,
      { retryAfterMs: 1000 },
    );
  }
  // Where both are reached, the wait is for both: whoever waits as told is not refused again.
  const requestsWait =
    limits.requestsPerMinute === null
      ? 0
      : minute.msUntilRequestsAtMost(limits.requestsPerMinute - 1);
  const tokensWait =
    limits.tokensPerMinute === null
      ? 0
      : minute.msUntilTokensAtMost(limits.tokensPerMinute - amount.tokens);
  const retryAfterMs = Math.max(requestsWait, tokensWait);
  if (limits.requestsPerMinute !== null && minute.requests + 1 > limits.requestsPerMinute) {
    return refusal(
      'request_rate_limited',
      `The limit ${of} of ${limits.requestsPerMinute} requests per minute is reached.`,
      { retryAfterMs },
    );
  }
  if (limits.tokensPerMinute !== null && minute.tokens + amount.tokens > limits.tokensPerMinute) {
    return refusal(
      'token_rate_limited',
      `The limit ${of} of ${limits.tokensPerMinute} tokens per minute is reached.`,
      { retryAfterMs },
    );
  }
  return null;
}

/**
 * Decides over several scopes at once. What is final in one scope must not hide behind a "try again soon"
 * of another, and of several waits the longest is told.
 *
 * @returns null when the reservation fits under every cap of every scope
 */
export function checkAllCaps(
  scopes: { use: ScopeUse; caps: ScopeCaps }[],
  amount: Amount,
): Refusal | null {
  let worst: Refusal | null = null;
  for (const { use, caps } of scopes) {
    const why = checkCaps(use, caps, amount);
    if (why && (!worst || waitOf(why) > waitOf(worst))) worst = why;
  }
  return worst;
}

const waitOf = ({ retryAfterMs = Infinity }: Refusal): number => retryAfterMs;

function inWords(ms: number): string {
  const minutes = Math.max(1, Math.ceil(ms / 60_000));
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

/** How one limit stands after a request was admitted, for the rate-limit headers. */
export interface LimitState {
  limit: number;
  remaining: number;
  /** Milliseconds until the window is empty again. */
  resetMs: number;
}

/** The tightest requests- and tokens-per-minute limit over several scopes. */
export function limitStates(scopes: { use: ScopeUse; caps: ScopeCaps }[]): {
  requests: LimitState | null;
  tokens: LimitState | null;
} {
  let requests: LimitState | null = null;
  let tokens: LimitState | null = null;
  for (const { use, caps } of scopes) {
    if (caps.limits.requestsPerMinute !== null) {
      const limit = caps.limits.requestsPerMinute;
      const state = {
        limit,
        remaining: Math.max(0, limit - use.minute.requests),
        resetMs: use.minute.msUntilRequestsAtMost(0),
      };
      if (!requests || state.remaining < requests.remaining) requests = state;
    }
    if (caps.limits.tokensPerMinute !== null) {
      const limit = caps.limits.tokensPerMinute;
      const state = {
        limit,
        remaining: Math.max(0, limit - use.minute.tokens),
        resetMs: use.minute.msUntilTokensAtMost(0),
      };
      if (!tokens || state.remaining < tokens.remaining) tokens = state;
    }
  }
  return { requests, tokens };
}
