/** The ledger's rows of requests, by statements that are prepared once: every request waits for them twice. */
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { factsOfIntent, requestSubject, type Charge, type IntentEntry } from '../core/requests.ts';
import type { OpenRequest, WriterContext } from './context.ts';
import type { Db } from './database.ts';
import { findEntries } from './entry-index.ts';
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

/** Charged at its full reservation until it is settled: what a crash leaves is already right. */
export function insertOpen(db: Db, request: OpenRequest, salt: string): void {
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
    Buffer.from(salt, 'base64'),
  );
}

/** @throws RefusedError where there is none, or it has an outcome already */
export function findOpen(context: WriterContext, requestId: string): OpenRequest {
  const { db } = context;
  const row = rowById(db).get(requestId);
  if (!row) return refuse('not_found', 'There is no such request.');
  if (row.state !== 'open')
    throw new RefusedError(refusal('already_decided', 'This request has been settled already.'));
  return toOpen(context, row);
}

/** The oldest that have no outcome. */
export function listOpen(context: WriterContext, most: number): OpenRequest[] {
  return openRows(context.db)
    .all(most)
    .map((row) => toOpen(context, row));
}

export function closeRow(
  db: Db,
  requestId: string,
  { state, at, charge }: { state: Exclude<State, 'open'>; at: number; charge: Charge },
): void {
  updateRow(db).run(state, at, charge.requests, charge.tokens, charge.spendNanoUsd, requestId);
}

function toOpen({ db, size, committed }: WriterContext, row: Row): OpenRequest {
  const about = { ref: row.id, kind: 'request.intent' };
  const [intent] = findEntries(db, about, { from: 0, limit: 1, size, committed });
  if (!intent)
    throw new Error(`Request ${row.id} has no intent in the log: the database is damaged.`);
  const facts = factsOfIntent(JSON.parse(intent.bytes.toString('utf8')) as IntentEntry);
  return {
    facts,
    subject: requestSubject(facts),
    admittedAt: row.admitted_at,
    reserved: { tokens: row.tokens_reserved, spendNanoUsd: row.spend_reserved_nano },
  };
}
