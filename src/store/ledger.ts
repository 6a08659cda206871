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
  /** Loaded once a daily budget asks for it. */
  day?: TrailingWindow;
}

/** What was counted by operations whose commit is not durable yet. */
interface Counted {
  grantId: string;
  personId: string;
  admittedAt: number;
  requestCount: number;
  tokens: number;
}

const NO_DAY = dayWindow();

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
  #uncommitted: Counted[] = [];
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

  /**
   * What a scope has used.
   *
   * @param needs.day whether the day counts: where no daily budget stands, its window is not kept
   */
  use(scope: Scope, now: number, needs: { day: boolean }): ScopeUse {
    const windows = this.#windowsOf(scope, now);
    if (needs.day) windows.day ??= this.#load(dayWindow(), 60_000, DAY_MS, scope, now);
    return {
      charged: this.charged(scope),
      minute: windows.minute.use(now),
      day: (windows.day ?? NO_DAY).use(now),
    };
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
    const counted = { grantId, personId, admittedAt, requestCount, tokens };
    this.#uncommitted.push(counted);
    this.#apply(counted);
  }

  /** The commit of what was counted is durable. */
  keepCounts(): void {
    this.#uncommitted = [];
  }

  /** The commit failed: what was counted did not happen. Reading the windows anew would take seconds. */
  undoCounts(): void {
    for (const { requestCount, tokens, ...rest } of this.#uncommitted) {
      this.#apply({ ...rest, requestCount: -requestCount, tokens: -tokens });
    }
    this.#uncommitted = [];
  }

  #apply({ grantId, personId, admittedAt, requestCount, tokens }: Counted): void {
    for (const scope of scopesOf(grantId, personId)) {
      const windows = this.#windows.get(keyOf(scope));
      windows?.minute.add(admittedAt, requestCount, tokens);
      windows?.day?.add(admittedAt, requestCount, tokens);
    }
  }

  #windowsOf(scope: Scope, now: number): Windows {
    const known = this.#windows.get(keyOf(scope));
    if (known) return known;
    const windows: Windows = { minute: this.#load(minuteWindow(), 250, 60_000, scope, now) };
    this.#windows.set(keyOf(scope), windows);
    return windows;
  }

  /**
   * Fills a window from the ledger's rows: a restart refills nothing.
   *
   * @param bucketMs at least as fine as the window's own buckets
   */
  #load(
    window: TrailingWindow,
    bucketMs: number,
    spanMs: number,
    scope: Scope,
    now: number,
  ): TrailingWindow {
    const slot = sql<number>`${requests.admittedAt} / ${sql.raw(String(bucketMs))}`;
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
          gt(requests.admittedAt, now - spanMs - 2 * bucketMs),
          scope.personId === '' ? undefined : eq(requests.personId, scope.personId),
        ),
      )
      .groupBy(slot)
      .orderBy(slot)
      .all();
    for (const row of rows) window.add(row.slot * bucketMs, row.requests, row.tokens);
    return window;
  }
}

const keyOf = (scope: Scope): string => `${scope.grantId} ${scope.personId}`;
