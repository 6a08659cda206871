import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Refusal } from '../../src/core/denials.ts';
import {
  NOTHING_CHARGED,
  budgetsSchema,
  checkAllCaps,
  checkCaps,
  limitStates,
  limitsSchema,
  usdToNano,
  type Amount,
  type Budgets,
  type Charged,
  type Limits,
  type ScopeCaps,
  type ScopeUse,
} from '../../src/core/limits.ts';
import { dayWindow, minuteWindow } from '../../src/core/window.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** How much later than the first possible moment room comes back: one bucket. */
const MINUTE_GRAIN = 250;
const DAY_GRAIN = 60_000;

function caps(
  limits: Partial<Limits>,
  budgets: Partial<Budgets> = {},
  scope: ScopeCaps['scope'] = 'grant',
): ScopeCaps {
  return { scope, limits: limitsSchema.parse(limits), budgets: budgetsSchema.parse(budgets) };
}

/** One scope's use, kept the way the ledger keeps it. */
class Account {
  readonly minute = minuteWindow();
  readonly day = dayWindow();
  charged: Charged = { ...NOTHING_CHARGED };

  use(now: number): ScopeUse {
    return { charged: this.charged, minute: this.minute.use(now), day: this.day.use(now) };
  }

  reserve(at: number, amount: Amount): void {
    this.#add({ requestsReserved: 1, ...reserved(amount, 1) });
    this.#count(at, 1, amount.tokens);
  }

  settle(admittedAt: number, was: Amount, forwarded: boolean, used: Amount): void {
    this.#add({
      requestsReserved: -1,
      requestsSettled: forwarded ? 1 : 0,
      tokensSettled: used.tokens,
      spendSettledNanoUsd: used.spendNanoUsd,
      ...reserved(was, -1),
    });
    this.#count(admittedAt, forwarded ? 0 : -1, used.tokens - was.tokens);
  }

  #add(delta: Partial<Charged>): void {
    for (const [name, value] of Object.entries(delta))
      this.charged = {
        ...this.charged,
        [name]: this.charged[name as keyof Charged] + value,
      };
  }

  #count(at: number, requests: number, tokens: number): void {
    this.minute.add(at, requests, tokens);
    this.day.add(at, requests, tokens);
  }
}

const reserved = ({ tokens, spendNanoUsd }: Amount, sign: 1 | -1): Partial<Charged> => ({
  tokensReserved: sign * tokens,
  spendReservedNanoUsd: sign * spendNanoUsd,
});

const amount = (tokens: number, spendNanoUsd = 0): Amount => ({ tokens, spendNanoUsd });

/** What the model remembers of a request that was admitted. */
interface Admitted {
  at: number;
  reserved: Amount;
  /** What it counts for now: the reservation, then what it settled for. */
  counts: { requests: number } & Amount;
  open: boolean;
}

const maybe = (least: number, most: number): fc.Arbitrary<number | null> =>
  fc.option(fc.integer({ min: least, max: most }), { freq: 2 });

const someCaps: fc.Arbitrary<ScopeCaps> = fc
  .record({
    requestsPerMinute: maybe(1, 6),
    tokensPerMinute: maybe(20, 300),
    concurrent: maybe(1, 4),
    requests: maybe(1, 30),
    tokens: maybe(20, 1_500),
    requestsPerDay: maybe(1, 12),
    tokensPerDay: maybe(20, 600),
    spendNano: maybe(1_000, 100_000),
  })
  .map((all) =>
    caps(
      {
        requestsPerMinute: all.requestsPerMinute,
        tokensPerMinute: all.tokensPerMinute,
        concurrent: all.concurrent,
      },
      {
        requests: all.requests,
        tokens: all.tokens,
        requestsPerDay: all.requestsPerDay,
        tokensPerDay: all.tokensPerDay,
        spendUsd: all.spendNano === null ? null : all.spendNano / 1e9,
      },
    ),
  );

/** Minutes only, and tight, so that both limits are often reached together. */
const rateLimits: fc.Arbitrary<ScopeCaps> = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 120, max: 240 }))
  .map(([requestsPerMinute, tokensPerMinute]) => caps({ requestsPerMinute, tokensPerMinute }));

const someAction = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      tokens: fc.integer({ min: 1, max: 120 }),
      spend: fc.integer({ min: 0, max: 9_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      which: fc.nat(),
      share: fc.constantFrom(0, 0.3, 1),
      forwarded: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.oneof(
        fc.integer({ min: 0, max: 2_000 }),
        fc.integer({ min: 0, max: 70_000 }),
        fc.integer({ min: 0, max: 30 * 3_600_000 }),
      ),
    }),
  },
);

const START = 1_700_000_000_000;

/** Plays actions against checkCaps, and hands every decision to `check` together with the naive log. */
function play(
  scopeCaps: ScopeCaps,
  actions: readonly (typeof someAction extends fc.Arbitrary<infer T> ? T : never)[],
  check: (step: {
    now: number;
    wanted: Amount;
    why: Refusal | null;
    account: Account;
    log: readonly Admitted[];
  }) => void,
): void {
  const account = new Account();
  const log: Admitted[] = [];
  let now = START;
  for (const action of actions) {
    if (action.kind === 'wait') now += action.ms;
    else if (action.kind === 'reserve') {
      const wanted = amount(action.tokens, action.spend);
      const why = checkCaps(account.use(now), scopeCaps, wanted);
      check({ now, wanted, why, account, log });
      if (why) continue;
      account.reserve(now, wanted);
      log.push({ at: now, reserved: wanted, counts: { requests: 1, ...wanted }, open: true });
    } else {
      const open = log.filter((entry) => entry.open);
      const entry = open[action.which % Math.max(1, open.length)];
      if (!entry) continue;
      const { forwarded } = action;
      const share = forwarded ? action.share : 0;
      const used = amount(
        Math.floor(entry.reserved.tokens * share),
        Math.floor(entry.reserved.spendNanoUsd * share),
      );
      account.settle(entry.at, entry.reserved, forwarded, used);
      entry.open = false;
      entry.counts = { requests: forwarded ? 1 : 0, ...used };
    }
  }
}

/** The most that any span of a length held, looking at every span that ends with an admission. */
function mostInAnySpan(
  log: readonly Admitted[],
  spanMs: number,
  of: (entry: Admitted) => number,
): number {
  return Math.max(
    0,
    ...log.map((last) =>
      log
        .filter((entry) => entry.at <= last.at && entry.at > last.at - spanMs)
        .reduce((sum, entry) => sum + of(entry), 0),
    ),
  );
}

const sum = (log: readonly Admitted[], of: (entry: Admitted) => number): number =>
  log.reduce((total, entry) => total + of(entry), 0);

describe('whatever is reserved and settled, in whatever order', () => {
  test('settled + reserved never exceeds a cap, in total, in any minute and on any day', () => {
    let admitted = 0;
    let refused = 0;
    fc.assert(
      fc.property(someCaps, fc.array(someAction, { maxLength: 80 }), (scopeCaps, actions) => {
        const { limits, budgets } = scopeCaps;
        play(scopeCaps, actions, ({ wanted, why, log, now }) => {
          if (why) {
            refused += 1;
            return;
          }
          admitted += 1;
          const after: Admitted[] = [
            ...log,
            { at: now, reserved: wanted, counts: { requests: 1, ...wanted }, open: true },
          ];
          const fits = (cap: number | null, held: number): void => {
            if (cap !== null && held > cap) throw new Error(`${held} of ${cap}`);
          };
          const requests = ({ counts }: Admitted): number => counts.requests;
          const tokens = ({ counts }: Admitted): number => counts.tokens;
          fits(budgets.requests, sum(after, requests));
          fits(budgets.tokens, sum(after, tokens));
          fits(
            budgets.spendUsd === null ? null : usdToNano(budgets.spendUsd),
            sum(after, ({ counts }) => counts.spendNanoUsd),
          );
          fits(budgets.requestsPerDay, mostInAnySpan(after, DAY, requests));
          fits(budgets.tokensPerDay, mostInAnySpan(after, DAY, tokens));
          fits(limits.requestsPerMinute, mostInAnySpan(after, MINUTE, requests));
          fits(limits.tokensPerMinute, mostInAnySpan(after, MINUTE, tokens));
          fits(limits.concurrent, after.filter((entry) => entry.open).length);
        });
      }),
      { numRuns: 400 },
    );
    expect(Math.min(admitted, refused)).toBeGreaterThan(200);
  });

  test('nothing is refused for a minute or a day that has room, but for one bucket', () => {
    fc.assert(
      fc.property(someCaps, fc.array(someAction, { maxLength: 80 }), (scopeCaps, actions) => {
        play(scopeCaps, actions, ({ wanted, why, log, now }) => {
          if (!why) return;
          const { limits, budgets } = scopeCaps;
          const held = (span: number, of: (entry: Admitted) => number): number =>
            sum(
              log.filter(({ at }) => at > now - span),
              of,
            );
          const over = (cap: number | null, used: number): boolean => cap !== null && used > cap;
          const requests = ({ counts }: Admitted): number => counts.requests;
          const tokens = ({ counts }: Admitted): number => counts.tokens;
          const spend = ({ counts }: Admitted): number => counts.spendNanoUsd;
          const reasons = [
            over(budgets.requests, sum(log, requests) + 1),
            over(budgets.tokens, sum(log, tokens) + wanted.tokens),
            over(
              budgets.spendUsd === null ? null : usdToNano(budgets.spendUsd),
              sum(log, spend) + wanted.spendNanoUsd,
            ),
            over(budgets.requestsPerDay, held(DAY + DAY_GRAIN, requests) + 1),
            over(budgets.tokensPerDay, held(DAY + DAY_GRAIN, tokens) + wanted.tokens),
            over(limits.requestsPerMinute, held(MINUTE + MINUTE_GRAIN, requests) + 1),
            over(limits.tokensPerMinute, held(MINUTE + MINUTE_GRAIN, tokens) + wanted.tokens),
            over(limits.concurrent, log.filter((entry) => entry.open).length + 1),
          ];
          expect(reasons).toContain(true);
        });
      }),
      { numRuns: 200 },
    );
  });

  test('whoever waits exactly as Retry-After says passes', () => {
    let waits = 0;
    fc.assert(
      fc.property(
        rateLimits,
        fc.array(someAction, { minLength: 20, maxLength: 60 }),
        (scopeCaps, actions) => {
          play(scopeCaps, actions, ({ now, wanted, why, account, log }) => {
            if (why?.code !== 'request_rate_limited' && why?.code !== 'token_rate_limited') return;
            waits += 1;
            const wait = why.retryAfterMs as number;
            expect(wait).toBeGreaterThan(0);
            expect(wait).toBeLessThanOrEqual(MINUTE + MINUTE_GRAIN);
            const use = useAt(now + wait, account.charged, log);
            expect(checkCaps(use, scopeCaps, wanted)).toBeNull();
          });
        },
      ),
      { numRuns: 150 },
    );
    expect(waits).toBeGreaterThan(50);
  });
});

/** The use at some moment, out of the naive log: windows forget as they are read, so these are new ones. */
function useAt(now: number, charged: Charged, log: readonly Admitted[]): ScopeUse {
  const account = new Account();
  account.charged = charged;
  for (const { at, counts } of log) {
    account.minute.add(at, counts.requests, counts.tokens);
    account.day.add(at, counts.requests, counts.tokens);
  }
  return account.use(now);
}

describe('without caps', () => {
  test('nothing is refused, however much', () => {
    const account = new Account();
    for (let i = 0; i < 100; i += 1) {
      expect(checkCaps(account.use(START), caps({}), amount(1e12, 1e15))).toBeNull();
      account.reserve(START, amount(1e12, 1e13));
    }
  });
});

describe('what is used up is told apart from what is in use', () => {
  const half = (): Account => {
    const account = new Account();
    account.reserve(START, amount(60, 60));
    return account;
  };

  test.each([
    ['tokens', { tokens: 100 }],
    ['tokensPerDay', { tokensPerDay: 100 }],
    ['spendUsd', { spendUsd: 100e-9 }],
  ])('%s held by requests in flight come back: try again', (_name, budgets) => {
    const account = half();
    const wanted = amount(50, 50);
    expect(checkCaps(account.use(START), caps({}, budgets), wanted)).toMatchObject({
      code: 'budget_in_use',
      retryAfterMs: 1000,
    });
    account.settle(START, amount(60, 60), true, amount(10, 10));
    expect(checkCaps(account.use(START), caps({}, budgets), wanted)).toBeNull();
  });

  test.each([
    ['tokens', { tokens: 100 }],
    ['tokensPerDay', { tokensPerDay: 100 }],
    ['spendUsd', { spendUsd: 100e-9 }],
  ])('%s that were used do not: no retry helps', (_name, budgets) => {
    const account = half();
    account.settle(START, amount(60, 60), true, amount(60, 60));
    const why = checkCaps(account.use(START), caps({}, budgets), amount(50, 50));
    expect(why).toMatchObject({ code: 'quota_exhausted' });
    expect(why?.retryAfterMs).toBeUndefined();
  });

  test('the last request of a budget of requests is used up while it is in flight', () => {
    expect(checkCaps(half().use(START), caps({}, { requests: 1 }), amount(1))).toMatchObject({
      code: 'quota_exhausted',
    });
  });

  test('a request that was never forwarded gives everything back', () => {
    const account = half();
    account.settle(START, amount(60, 60), false, amount(0, 0));
    const tight = caps(
      { requestsPerMinute: 1, tokensPerMinute: 1, concurrent: 1 },
      { requests: 1, tokens: 1, requestsPerDay: 1, tokensPerDay: 1, spendUsd: 1e-9 },
    );
    expect(checkCaps(account.use(START), tight, amount(1, 1))).toBeNull();
  });

  test('a budget that is used up does not hide behind a limit that refills', () => {
    const account = half();
    const both = caps({ requestsPerMinute: 1, concurrent: 1 }, { requests: 1 });
    expect(checkCaps(account.use(START), both, amount(1))).toMatchObject({
      code: 'quota_exhausted',
    });
  });

  test.each([
    ['tokens a minute', caps({ tokensPerMinute: 10 })],
    ['tokens a day', caps({}, { tokensPerDay: 10 })],
  ])('a request larger than the %s could ever be is not told to wait', (_name, scopeCaps) => {
    const why = checkCaps(new Account().use(START), scopeCaps, amount(11));
    expect(why).toMatchObject({ code: 'request_too_large_for_limit' });
    expect(why?.retryAfterMs).toBeUndefined();
    expect(checkCaps(new Account().use(START), scopeCaps, amount(10))).toBeNull();
  });

  test('a limit of concurrent requests counts what is in flight only', () => {
    const account = half();
    const one = caps({ concurrent: 1 });
    expect(checkCaps(account.use(START), one, amount(1))).toMatchObject({
      code: 'concurrency_limited',
    });
    account.settle(START, amount(60, 60), true, amount(60, 60));
    expect(checkCaps(account.use(START), one, amount(1))).toBeNull();
  });
});

describe('over several scopes', () => {
  const busy = (): ScopeUse => {
    const account = new Account();
    account.reserve(START, amount(60));
    return account.use(START);
  };

  test('what is final in one scope does not hide behind a wait in another', () => {
    const grant = { use: busy(), caps: caps({ requestsPerMinute: 1 }) };
    const person = { use: busy(), caps: caps({}, { requests: 1 }, 'person') };
    for (const scopes of [
      [grant, person],
      [person, grant],
    ])
      expect(checkAllCaps(scopes, amount(1))).toMatchObject({ code: 'quota_exhausted' });
  });

  test('of two waits the longer is told', () => {
    const early = new Account();
    early.reserve(START - 30_000, amount(1));
    const grant = { use: early.use(START), caps: caps({ requestsPerMinute: 1 }) };
    const person = { use: busy(), caps: caps({ tokensPerMinute: 60 }, {}, 'person') };
    for (const scopes of [
      [grant, person],
      [person, grant],
    ]) {
      const why = checkAllCaps(scopes, amount(1));
      expect(why?.code).toBe('token_rate_limited');
      expect(why?.retryAfterMs).toBeGreaterThanOrEqual(MINUTE);
    }
  });

  test('the refusal names the scope', () => {
    const scope = { use: busy(), caps: caps({}, { requests: 1 }, 'person') };
    expect(checkAllCaps([scope], amount(1))?.message).toContain('per person');
    expect(
      checkAllCaps([{ ...scope, caps: caps({}, { requests: 1 }) }], amount(1))?.message,
    ).toContain('of the grant');
  });
});

describe('how limits stand, for the headers', () => {
  test('the scope with the least left is shown', () => {
    const account = new Account();
    account.reserve(START, amount(30));
    const use = account.use(START);
    const states = limitStates([
      { use, caps: caps({ requestsPerMinute: 10, tokensPerMinute: 31 }) },
      { use, caps: caps({ requestsPerMinute: 2, tokensPerMinute: 90 }, {}, 'person') },
    ]);
    expect(states.requests).toMatchObject({ limit: 2, remaining: 1 });
    expect(states.tokens).toMatchObject({ limit: 31, remaining: 1 });
    expect(states.requests?.resetMs).toBeGreaterThanOrEqual(MINUTE);
  });

  test('without a limit nothing is shown; what was overdrawn shows zero', () => {
    const account = new Account();
    expect(limitStates([{ use: account.use(START), caps: caps({}) }])).toEqual({
      requests: null,
      tokens: null,
    });
    account.reserve(START, amount(10));
    account.settle(START, amount(10), true, amount(50));
    const scope = { use: account.use(START), caps: caps({ tokensPerMinute: 20 }) };
    expect(limitStates([scope]).tokens).toMatchObject({ remaining: 0 });
  });
});

test('dollars become whole billionths', () => {
  expect(usdToNano(0.1)).toBe(100_000_000);
  expect(usdToNano(1.1)).toBe(1_100_000_000);
  expect(usdToNano(5_000_000)).toBe(5e15);
  expect(Number.isSafeInteger(usdToNano(4_999_999.999999999))).toBe(true);
});
