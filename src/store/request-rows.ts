/** The ledger's rows of requests, by statements that are prepared once: every request waits for them. */
import type { Amount } from '../core/limits.ts';
import type { Charge, RequestIds } from '../core/requests.ts';
import type { Db } from './database.ts';
import type { Account } from './ledger.ts';
import { prepared } from './prepared.ts';

/** A request that was admitted and has no outcome yet. */
export interface OpenRequest {
  facts: RequestIds;
  /** What both of its entries say of it, as JSON members. */
  subject: string;
  /** What it counts in. */
  account: Account;
  admittedAt: number;
  reserved: Amount;
}

/** How a request ended. */
export interface Closing {
  state: 'settled' | 'unknown';
  /** Epoch milliseconds. */
  at: number;
  charge: Charge;
}

type State = 'open' | Closing['state'];

const insert = prepared((db) =>
  db.$client.prepare<
    [
      string,
      string,
      string,
      string,
      State,
      number,
      number | null,
      number,
      number,
      number,
      number,
      number,
      Uint8Array,
    ]
  >(
    `INSERT INTO requests (id, grant_id, person_id, token_id, state, admitted_at, settled_at, requests, tokens_reserved,
       spend_reserved_nano, tokens_charged, spend_charged_nano, salt)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
);

const updateRow = prepared((db) =>
  db.$client.prepare<[State, number, number, number, number, string]>(
    `UPDATE requests SET state = ?, settled_at = ?, requests = ?, tokens_charged = ?, spend_charged_nano = ?
     WHERE id = ?`,
  ),
);

/**
 * Writes the row of a request. One that is open is charged at its full reservation until it is settled: what a crash
 * leaves is already right.
 *
 * @param closing how it has ended, where it has ended already
 */
export function insertRow(
  db: Db,
  { facts, admittedAt, reserved }: OpenRequest,
  salt: Uint8Array,
  closing?: Closing,
): void {
  const charged = closing?.charge ?? { requests: 1, ...reserved };
  insert(db).run(
    facts.requestId,
    facts.grantId,
    facts.personId,
    facts.tokenId,
    closing?.state ?? 'open',
    admittedAt,
    closing?.at ?? null,
    charged.requests,
    reserved.tokens,
    reserved.spendNanoUsd,
    charged.tokens,
    charged.spendNanoUsd,
    salt,
  );
}

export function closeRow(db: Db, requestId: string, { state, at, charge }: Closing): void {
  updateRow(db).run(state, at, charge.requests, charge.tokens, charge.spendNanoUsd, requestId);
}
