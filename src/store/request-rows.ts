/** The ledger's rows of requests, by statements that are prepared once: every request waits for them twice. */
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { factsOfIntent, type Charge, type IntentEntry } from '../core/requests.ts';
import type { OpenRequest } from './context.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';

type State = 'open' | 'settled' | 'unknown';

interface Row {
  id: string;
  state: State;
  admitted_at: number;
  tokens_reserved: number;
  spend_reserved_nano: number;
}

const insertRow = prepared((db) =>
  db.$client.prepare<
    [string, string, string, string, number, number, number, number, number, Uint8Array]
  >(
    `INSERT INTO requests (id, grant_id, person_id, token_id, state, admitted_at, requests, tokens_reserved,
       spend_reserved_nano, tokens_charged, spend_charged_nano, salt)
     VALUES (?, ?, ?, ?, 'open', ?, 1, ?, ?, ?, ?, ?)`,
  ),
);

const updateRow = prepared((db) =>
  db.$client.prepare<[State, number, number, number, number, string]>(
    `UPDATE requests SET state = ?, settled_at = ?, requests = ?, tokens_charged = ?, spend_charged_nano = ?
     WHERE id = ?`,
  ),
);

const COLUMNS = 'id, state, admitted_at, tokens_reserved, spend_reserved_nano';

const rowById = prepared((db) =>
  db.$client.prepare<[string], Row>(`SELECT ${COLUMNS} FROM requests WHERE id = ?`),
);

const openRows = prepared((db) =>
  db.$client.prepare<[number], Row>(
    `SELECT ${COLUMNS} FROM requests WHERE state = 'open' ORDER BY id LIMIT ?`,
  ),
);

const intentEntry = prepared((db) =>
  db.$client
    .prepare<[string], Buffer>(
      `SELECT bytes FROM entries WHERE ref = ? AND kind = 'request.intent' ORDER BY idx LIMIT 1`,
    )
    .pluck(),
);

/** Charged at its full reservation until it is settled: what a crash leaves is already right. */
export function insertOpen(db: Db, request: OpenRequest, salt: Uint8Array): void {
  const { facts, admittedAt, reserved } = request;
  insertRow(db).run(
    facts.requestId,
    facts.grantId,
    facts.personId,
    facts.tokenId,
    admittedAt,
    reserved.tokens,
    reserved.spendNanoUsd,
    reserved.tokens,
    reserved.spendNanoUsd,
    salt,
  );
}

/** @throws RefusedError where there is none, or it has an outcome already */
export function findOpen(db: Db, requestId: string): OpenRequest {
  const row = rowById(db).get(requestId);
  if (!row) return refuse('not_found', 'There is no such request.');
  if (row.state !== 'open')
    throw new RefusedError(refusal('already_decided', 'This request has been settled already.'));
  return toOpen(db, row);
}

/** The oldest that have no outcome. */
export function listOpen(db: Db, most: number): OpenRequest[] {
  return openRows(db)
    .all(most)
    .map((row) => toOpen(db, row));
}

export function closeRow(
  db: Db,
  requestId: string,
  { state, at, charge }: { state: Exclude<State, 'open'>; at: number; charge: Charge },
): void {
  updateRow(db).run(state, at, charge.requests, charge.tokens, charge.spendNanoUsd, requestId);
}

function toOpen(db: Db, row: Row): OpenRequest {
  const bytes = intentEntry(db).get(row.id);
  if (!bytes)
    throw new Error(`Request ${row.id} has no intent in the log: the database is damaged.`);
  return {
    facts: factsOfIntent(JSON.parse(bytes.toString('utf8')) as IntentEntry),
    admittedAt: row.admitted_at,
    reserved: { tokens: row.tokens_reserved, spendNanoUsd: row.spend_reserved_nano },
  };
}
