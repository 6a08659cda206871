/** Finding requests that have no outcome: in their rows, and in their intents in the log. */
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { factsOfIntent, requestSubject, type IntentEntry } from '../core/requests.ts';
import type { WriterContext } from './context.ts';
import { findByRef } from './entry-index.ts';
import { prepared } from './prepared.ts';
import type { OpenRequest } from './request-rows.ts';

interface Row {
  id: string;
  state: 'open' | 'settled' | 'unknown';
  admitted_at: number;
  tokens_reserved: number;
  spend_reserved_nano: number;
}

const COLUMNS = 'id, state, admitted_at, tokens_reserved, spend_reserved_nano';

const rowById = prepared((db) =>
  db.$client.prepare<[string], Row>(`SELECT ${COLUMNS} FROM requests WHERE id = ?`),
);

const openRows = prepared((db) =>
  db.$client.prepare<[number], Row>(
    `SELECT ${COLUMNS} FROM requests WHERE state = 'open' ORDER BY id LIMIT ?`,
  ),
);

/** @throws RefusedError where there is none, or it has an outcome already */
export function findOpen(context: WriterContext, requestId: string): OpenRequest {
  const { db } = context;
  context.needDatabase();
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

function toOpen({ db, ledger, size, indexed }: WriterContext, row: Row): OpenRequest {
  const about = { ref: row.id, kind: 'request.intent' };
  const intent = findByRef(db, about, { size, committed: indexed });
  if (!intent)
    throw new Error(`Request ${row.id} has no intent in the log: the database is damaged.`);
  const facts = factsOfIntent(JSON.parse(intent.bytes.toString('utf8')) as IntentEntry);
  return {
    facts,
    subject: requestSubject(facts),
    account: ledger.account(facts.grantId, facts.personId),
    admittedAt: row.admitted_at,
    reserved: { tokens: row.tokens_reserved, spendNanoUsd: row.spend_reserved_nano },
  };
}
