/**
 * The usage ledger: what grants, and people under them, have been charged; durable with the log. The sums are kept
 * in memory and written once for each commit, in its transaction, however many requests it has.
 */
import { and, eq, gt } from 'drizzle-orm';
import { NOTHING_CHARGED, type Charged, type ScopeUse } from '../core/limits.ts';
import { dayWindow, minuteWindow, type TrailingWindow } from '../core/window.ts';
import { firstIdAt } from '../lib/ids.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';
import { charges, usageMinutes } from './schema.ts';

/** A grant as a whole is the scope whose person is ''. */
interface Scope {
  grantId: string;
  personId: string;
}

/** What a scope has used, as far as it is in memory. */
export interface ScopeState {
  readonly scope: Scope;
  charged: Charged;
  /** Since the last commit of the database. */
  isChanged: boolean;
  /** Undefined until those of all scopes are loaded. */
  minute: TrailingWindow | undefined;
  /** Loaded once a daily budget asks for it. */
  day?: TrailingWindow;
}

/** What a request counts in: found once for each, since to find it costs more than to count. */
export interface Account {
  grant: ScopeState;
  person: ScopeState;
}

/** How the sums of a grant, and of a person under it, change. */
export interface LedgerChange {
  /** When the request was admitted, epoch milliseconds: where the windows count it, also what settles later. */
  admittedAt: number;
  charged: Charged;
  /** Requests and tokens in the trailing windows; negative for what a reservation settled for less. */
  counted: { requests: number; tokens: number };
}

interface UsedMinute extends Scope {
  minute: number;
  requests: number;
  tokens: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** The grain of the window of a minute, which is loaded in as fine a grain. */
const BUCKET_MS = 250;

/** A request has its id, which begins with the time, before its body has come: that takes no longer than this. */
const LONGEST_ARRIVAL_MS = 15 * 60_000;

const NO_DAY = dayWindow();

const writeCharged = prepared((db) =>
  db.$client.prepare<[string, string, number, number, number, number, number, number]>(
    `INSERT OR REPLACE INTO charges (grant_id, person_id, requests_settled, requests_reserved, tokens_settled,
       tokens_reserved, spend_settled_nano, spend_reserved_nano) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
);

const writeMinute = prepared((db) =>
  db.$client.prepare<[string, number, string, number, number]>(
    `INSERT INTO usage_minutes (grant_id, minute, person_id, requests, tokens) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens`,
  ),
);

interface MinuteRow {
  grant_id: string;
  person_id: string;
  at: number;
  requests: number;
  tokens: number;
}

const minuteRows = prepared((db) =>
  db.$client.prepare<[string, number], MinuteRow>(
    `SELECT grant_id, person_id, max(admitted_at) AS at, sum(requests) AS requests, sum(tokens_charged) AS tokens
     FROM requests WHERE id >= ? AND admitted_at > ? GROUP BY grant_id, person_id, admitted_at / ${BUCKET_MS} ORDER BY at`,
  ),
);

export class Ledger {
  readonly #db: Db;
  readonly #onChange: (takeBack: () => void) => void;
  /** By grant and person. */
  readonly #scopes = new Map<string, Map<string, ScopeState>>();
  /** Whether the windows of a minute are loaded. From then on, every change passes through them. */
  #hasMinutes = false;
  /** What has changed since the last commit of the database, and {@link write} has to write. */
  #changed: ScopeState[] = [];
  #minutes = new Map<ScopeState, Map<number, UsedMinute>>();

  /** @param onChange told of each change in memory, with how to take it back */
  constructor(db: Db, onChange: (takeBack: () => void) => void) {
    this.#db = db;
    this.#onChange = onChange;
  }

  /**
   * What a scope has used.
   *
   * @param needs.day whether the day counts: where no daily budget stands, its window is not kept
   */
  use(scope: Scope, now: number, needs: { day: boolean }): ScopeUse {
    return this.useOf(this.#stateOf(scope), now, needs);
  }

  /** The same of a scope that was found. */
  useOf(state: ScopeState, now: number, needs: { day: boolean }): ScopeUse {
    if (!this.#hasMinutes) this.#loadMinutes(now);
    const minute = state.minute as TrailingWindow;
    if (needs.day) state.day ??= this.#loadDay(state.scope, now);
    return {
      charged: state.charged,
      minute: minute.use(now),
      day: (state.day ?? NO_DAY).use(now),
    };
  }

  /** What a scope has been charged. */
  charged(scope: Scope): Charged {
    return this.#stateOf(scope).charged;
  }

  /**
   * What a request of a person under a grant counts in.
   *
   * @throws when there is no such grant or person: the database would refuse what is charged to them, and too late for
   *   whoever was answered
   */
  account(grantId: string, personId: string): Account {
    if (!this.#scopes.get(grantId)?.has(personId)) this.#mustExist(grantId, personId);
    return {
      grant: this.#stateOf({ grantId, personId: '' }),
      person: this.#stateOf({ grantId, personId }),
    };
  }

  /** Changes the sums of a grant and of a person under it, and counts in their windows. */
  change(account: Account, change: LedgerChange): void {
    const { grant, person } = account;
    const before = [grant.charged, person.charged] as const;
    this.#apply(account, change, 1);
    this.#onChange(() => {
      this.#apply(account, change, -1);
      // As they were, not less what was added: a sum that was capped would not come back to what it was.
      [grant.charged, person.charged] = before;
    });
  }

  /** Writes what has changed since the last commit of the database. The last thing before the next one. */
  write(): void {
    for (const { scope, charged } of this.#changed) {
      writeCharged(this.#db).run(
        scope.grantId,
        scope.personId,
        charged.requestsSettled,
        charged.requestsReserved,
        charged.tokensSettled,
        charged.tokensReserved,
        charged.spendSettledNanoUsd,
        charged.spendReservedNanoUsd,
      );
    }
    for (const { grantId, minute, personId, requests: count, tokens } of this.#usedMinutes()) {
      if (count !== 0 || tokens !== 0)
        writeMinute(this.#db).run(grantId, minute, personId, count, tokens);
    }
  }

  /** What was written is durable. */
  keep(): void {
    for (const state of this.#changed) state.isChanged = false;
    // New ones: what is cleared is chained to what comes after it (see Slots).
    this.#changed = [];
    this.#minutes = new Map();
  }

  #apply({ grant, person }: Account, change: LedgerChange, sign: 1 | -1): void {
    this.#applyTo(grant, change, sign);
    this.#applyTo(person, change, sign);
    const { admittedAt, counted } = change;
    const used = this.#minuteOf(person, Math.floor(admittedAt / MINUTE_MS));
    used.requests += sign * counted.requests;
    used.tokens += sign * counted.tokens;
  }

  #applyTo(state: ScopeState, change: LedgerChange, sign: 1 | -1): void {
    const { admittedAt, charged, counted } = change;
    state.charged = added(state.charged, charged, sign);
    state.minute?.add(admittedAt, sign * counted.requests, sign * counted.tokens);
    state.day?.add(admittedAt, sign * counted.requests, sign * counted.tokens);
    if (!state.isChanged) this.#changed.push(state);
    state.isChanged = true;
  }

  /** What a person used in a minute of those that are still to be written. */
  #minuteOf(person: ScopeState, minute: number): UsedMinute {
    let minutes = this.#minutes.get(person);
    if (!minutes) this.#minutes.set(person, (minutes = new Map()));
    let used = minutes.get(minute);
    if (!used) minutes.set(minute, (used = { ...person.scope, minute, requests: 0, tokens: 0 }));
    return used;
  }

  #usedMinutes(): UsedMinute[] {
    return [...this.#minutes.values()].flatMap((minutes) => [...minutes.values()]);
  }

  #mustExist(grantId: string, personId: string): void {
    const exists = (table: 'grants' | 'people', id: string): boolean =>
      this.#db.$client.prepare(`SELECT 1 FROM ${table} WHERE id = ?`).get(id) !== undefined;
    if (!exists('grants', grantId) || !exists('people', personId))
      throw new Error(`There is no grant ${grantId}, or no person ${personId}.`);
  }

  #stateOf(scope: Scope): ScopeState {
    let people = this.#scopes.get(scope.grantId);
    if (!people) this.#scopes.set(scope.grantId, (people = new Map()));
    const known = people.get(scope.personId);
    if (known) return known;
    const minute = this.#hasMinutes ? minuteWindow() : undefined;
    const state = { scope, charged: this.#loadCharged(scope), isChanged: false, minute };
    people.set(scope.personId, state);
    return state;
  }

  #loadCharged({ grantId, personId }: Scope): Charged {
    const row = this.#db
      .select()
      .from(charges)
      .where(and(eq(charges.grantId, grantId), eq(charges.personId, personId)))
      .get();
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

  /**
   * Fills the windows of a minute from the ledger's rows, so that a restart refills nothing: of all scopes in one
   * reading, since each by itself would read the whole minute.
   */
  #loadMinutes(now: number): void {
    this.#hasMinutes = true;
    for (const people of this.#scopes.values())
      for (const state of people.values()) state.minute = minuteWindow();
    const since = now - MINUTE_MS - 2 * BUCKET_MS;
    const rows = minuteRows(this.#db).all(firstIdAt('req', since - LONGEST_ARRIVAL_MS), since);
    for (const row of rows) {
      const { grant, person } = this.account(row.grant_id, row.person_id);
      for (const { minute } of [grant, person]) minute?.add(row.at, row.requests, row.tokens);
    }
  }

  #loadDay(scope: Scope, now: number): TrailingWindow {
    const window = dayWindow();
    const rows = this.#db
      .select()
      .from(usageMinutes)
      .where(
        and(
          eq(usageMinutes.grantId, scope.grantId),
          gt(usageMinutes.minute, (now - DAY_MS) / MINUTE_MS - 2),
          scope.personId === '' ? undefined : eq(usageMinutes.personId, scope.personId),
        ),
      )
      .orderBy(usageMinutes.minute)
      .all();
    for (const row of rows) window.add(row.minute * MINUTE_MS, row.requests, row.tokens);
    // What has changed since the last commit of the database is not in those rows yet.
    for (const { grantId, personId, minute, requests: count, tokens } of this.#usedMinutes()) {
      if (grantId === scope.grantId && (scope.personId === '' || scope.personId === personId))
        window.add(minute * MINUTE_MS, count, tokens);
    }
    return window;
  }
}

function added(sums: Charged, delta: Charged, sign: 1 | -1): Charged {
  const sum = (name: keyof Charged): number => capped(sums[name] + sign * delta[name]);
  return {
    requestsSettled: sum('requestsSettled'),
    requestsReserved: sum('requestsReserved'),
    tokensSettled: sum('tokensSettled'),
    tokensReserved: sum('tokensReserved'),
    spendSettledNanoUsd: sum('spendSettledNanoUsd'),
    spendReservedNanoUsd: sum('spendReservedNanoUsd'),
  };
}

/** What an upstream reports can be absurd. A sum that cannot be counted exactly stays over every cap. */
const capped = (sum: number): number => Math.min(sum, Number.MAX_SAFE_INTEGER);
