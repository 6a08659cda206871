/** The usage ledger: what grants, and people under them, have been charged; durable with the log. */
import { and, eq, gt, sql } from 'drizzle-orm';
import { NOTHING_CHARGED, type Charged, type ScopeUse } from '../core/limits.ts';
import { TrailingWindow, dayWindow, minuteWindow } from '../core/window.ts';
import type { Db } from './database.ts';
import { charges, requests } from './schema.ts';

/** A grant as a whole is the scope whose person is ''. */
interface Scope {
  grantId: string;
  personId: string;
}

interface Windows {
  minute: TrailingWindow;
  day: TrailingWindow;
}

/** How a scope's sums change. */
type Delta = { [K in keyof Charged]: number };

export const scopesOf = (grantId: string, personId: string): [Scope, Scope] => [
  { grantId, personId: '' },
  { grantId, personId },
];

const DAY_MS = 86_400_000;

export class Ledger {
  readonly #db: Db;
  readonly #windows = new Map<string, Windows>();
  readonly #read;
  readonly #add;

  constructor(db: Db) {
    this.#db = db;
    this.#read = db
      .select()
      .from(charges)
      .where(
        and(
          eq(charges.grantId, sql.placeholder('grantId')),
          eq(charges.personId, sql.placeholder('personId')),
        ),
      )
      .prepare();
    this.#add = db
      .insert(charges)
      .values({
        grantId: sql.placeholder('grantId'),
        personId: sql.placeholder('personId'),
        requestsSettled: sql.placeholder('requestsSettled'),
        requestsReserved: sql.placeholder('requestsReserved'),
        tokensSettled: sql.placeholder('tokensSettled'),
        tokensReserved: sql.placeholder('tokensReserved'),
        spendSettledNano: sql.placeholder('spendSettledNanoUsd'),
        spendReservedNano: sql.placeholder('spendReservedNanoUsd'),
      })
      .onConflictDoUpdate({
        target: [charges.grantId, charges.personId],
        set: {
          requestsSettled: sql`requests_settled + excluded.requests_settled`,
          requestsReserved: sql`requests_reserved + excluded.requests_reserved`,
          tokensSettled: sql`tokens_settled + excluded.tokens_settled`,
          tokensReserved: sql`tokens_reserved + excluded.tokens_reserved`,
          spendSettledNano: sql`spend_settled_nano + excluded.spend_settled_nano`,
          spendReservedNano: sql`spend_reserved_nano + excluded.spend_reserved_nano`,
        },
      })
      .prepare();
  }

  /** Windows live in memory and follow the ledger's rows; after an undone commit they are read anew. */
  forgetWindows(): void {
    this.#windows.clear();
  }

  use(scope: Scope, now: number): ScopeUse {
    const { minute, day } = this.#windowsOf(scope, now);
    return { charged: this.charged(scope), minute: minute.use(now), day: day.use(now) };
  }

  charged(scope: Scope): Charged {
    const row = this.#read.get({ ...scope });
    if (!row) return NOTHING_CHARGED;
    return {
      requestsSettled: row.requestsSettled,
      requestsReserved: row.requestsReserved,
      tokensSettled: row.tokensSettled,
      tokensReserved: row.tokensReserved,
      spendSettledNanoUsd: row.spendSettledNano,
      spendReservedNanoUsd: row.spendReservedNano,
    };
  }

  /** Changes the sums of a grant and of a person under it. */
  charge(grantId: string, personId: string, delta: Delta): void {
    for (const scope of scopesOf(grantId, personId)) this.#add.run({ ...scope, ...delta });
  }

  /**
   * Counts in the trailing windows, at the time the request was admitted: also what settles later.
   * Called last in an operation, because memory is not undone with a savepoint.
   */
  count(
    grantId: string,
    personId: string,
    admittedAt: number,
    requestCount: number,
    tokens: number,
  ): void {
    for (const scope of scopesOf(grantId, personId)) {
      const windows = this.#windows.get(keyOf(scope));
      windows?.minute.add(admittedAt, requestCount, tokens);
      windows?.day.add(admittedAt, requestCount, tokens);
    }
  }

  /** A restart refills nothing: the windows come from the ledger's rows of the last day. */
  #windowsOf(scope: Scope, now: number): Windows {
    const known = this.#windows.get(keyOf(scope));
    if (known) return known;
    const windows = { minute: minuteWindow(), day: dayWindow() };
    const slot = sql<number>`${requests.admittedAt} / 250`;
    const rows = this.#db
      .select({
        slot,
        requests: sql<number>`sum(${requests.requests})`,
        tokens: sql<number>`sum(${requests.tokensCharged})`,
      })
      .from(requests)
      .where(
        and(
          eq(requests.grantId, scope.grantId),
          gt(requests.admittedAt, now - DAY_MS - 60_000),
          scope.personId === '' ? undefined : eq(requests.personId, scope.personId),
        ),
      )
      .groupBy(slot)
      .orderBy(slot)
      .all();
    const minuteAgo = now - 2 * 60_000;
    for (const { slot: at250, requests: count, tokens } of rows) {
      const at = at250 * 250;
      if (at > minuteAgo) windows.minute.add(at, count, tokens);
      windows.day.add(at, count, tokens);
    }
    this.#windows.set(keyOf(scope), windows);
    return windows;
  }
}

const keyOf = (scope: Scope): string => `${scope.grantId} ${scope.personId}`;
