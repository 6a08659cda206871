/** The state that the database has and the one that its log tells, in one form, to be compared. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { and, gt, isNull } from 'drizzle-orm';
import { forgetExpired, replay } from '../../src/core/audit/replay.ts';
import { grantOf, nothingReplayed, type Replayed } from '../../src/core/audit/replayed.ts';
import type { Grant, GrantText } from '../../src/core/grants.ts';
import type { Lab, Person } from '../../src/core/people.ts';
import { DATABASE_FILE, openForReading, type Db } from '../../src/store/database.ts';
import { minimumIndex } from '../../src/store/prunings.ts';
import { readGrants, readPeople, toOrder } from '../../src/store/records.ts';
import * as tables from '../../src/store/schema.ts';

/** By id, each part in a form of its own. */
type Comparable = Record<string, Map<string, unknown>>;

/** Replays every entry of a log. */
function replayOf(entries: Iterable<Uint8Array>): Replayed {
  const state = nothingReplayed();
  for (const bytes of entries) replay(state, bytes);
  return state;
}

/**
 * Holds the log of a broker that is closed against its tables.
 *
 * @param now epoch milliseconds
 * @throws AssertionError with what the log does not tell, or tells otherwise
 */
export function mustTellState(dataDir: string, now: number): void {
  const path = join(dataDir, DATABASE_FILE);
  // A test may have taken it away.
  if (!existsSync(path)) return;
  const db = openForReading(path);
  try {
    // What is left of a log that was pruned does not tell it alone.
    if (minimumIndex(db) === 0) mustTell(db, now);
  } finally {
    db.$client.close();
  }
}

/** The same of a database that is open. */
export function mustTell(db: Db, now: number): void {
  const told = replayOf(entriesIn(db));
  assert.deepEqual(told.gaps, [], 'what the log does not tell');
  assert.deepEqual(stateTold(told, now), stateIn(db, now));
}

/** The entries of a database, as the log has them. */
export const entriesIn = (db: Db): Buffer[] =>
  db.$client.prepare('SELECT bytes FROM entries ORDER BY idx').pluck().all() as Buffer[];

/** What the tables say. @param now epoch milliseconds: tokens that have expired by then are left out */
function stateIn(db: Db, now: number): Comparable {
  const grants = readGrants(db, db.select().from(tables.grants).all());
  const people = readPeople(db, db.select().from(tables.people).all());
  return {
    labs: byId(db.select().from(tables.labs).all().map(comparableLab)),
    people: byId(people.map(comparablePerson)),
    invitations: byId(
      db
        .select()
        .from(tables.invitations)
        .all()
        .map(({ id, labId, grantId, invitedBy, rosterUntil, expiresAt, ...end }) => {
          const { joinedAs, endedAt, withdrawnBecause } = end;
          const offer = { id, labId, grantId, invitedBy, rosterUntil, expiresAt };
          return { ...offer, joinedAs, endedAt, withdrawnBecause };
        }),
    ),
    grants: byId(grants.map(comparableGrant)),
    orders: byId(db.select().from(tables.orders).all().map(toOrder)),
    disputes: byId(db.select().from(tables.disputes).all()),
    duties: byId(db.select().from(tables.duties).all()),
    acknowledgements: new Map(
      db
        .select()
        .from(tables.orderAcknowledgements)
        .all()
        .map((one) => [`${one.orderId} ${one.personId}`, one]),
    ),
    tokens: byId(liveTokens(db, now)),
    runs: byId(runsIn(db)),
  };
}

function runsIn(db: Db) {
  const { id, grantId, purpose, name, personId, createdAt, endedAt } = tables.runs;
  const run = { id, grantId, purpose, name, personId, createdAt, endedAt };
  return db.select(run).from(tables.runs).all();
}

function liveTokens(db: Db, now: number) {
  const { jkt: boundTo, signingKid: signedWith, ...token } = tables.tokens;
  const { id, audience, personId, labId, kid, grantId, purpose, runId } = token;
  const { issuedAt, expiresAt, revokedAt, vouchedBy, narrowing } = token;
  const whose = { id, audience, personId, labId, kid, grantId, purpose, runId };
  return db
    .select({ ...whose, issuedAt, expiresAt, vouchedBy, narrowing, boundTo, signedWith })
    .from(tables.tokens)
    .where(and(isNull(revokedAt), gt(expiresAt, now)))
    .all();
}

/** What the log told. */
function stateTold(state: Replayed, now: number): Comparable {
  forgetExpired(state, now);
  return {
    labs: state.labs,
    people: byId([...state.people.values()].map((one) => ({ ...one, kids: [...one.kids].sort() }))),
    invitations: state.invitations,
    grants: byId(
      [...state.grants.values()].flatMap((one) => {
        const grant = grantOf(one);
        return grant ? [comparableGrant(grant)] : [];
      }),
    ),
    orders: state.orders,
    disputes: state.disputes,
    duties: state.duties,
    acknowledgements: state.acknowledgements,
    tokens: state.tokens,
    runs: state.runs,
  };
}

const byId = <T extends { id: string }>(list: readonly T[]): Map<string, T> =>
  new Map(list.map((one) => [one.id, one]));

function comparableLab({ identity, ...lab }: Lab) {
  if (!identity) return { ...lab, identity: null };
  const { issuer, jwksUrl = null, jwks } = identity;
  return {
    ...lab,
    identity: { issuer, jwksUrl, kids: jwks?.keys.flatMap(({ kid }) => kid ?? []) ?? [] },
  };
}

const comparablePerson = ({ keys, ...person }: Person) => ({
  ...person,
  kids: keys.map(({ kid }) => kid).sort(),
});

/** Neither the order of rows nor the text of terms is in the log. */
function comparableGrant(grant: Grant) {
  const text = ({ spec, authorIds, approvals, ...rest }: GrantText) => ({
    ...rest,
    spec: { ...spec, terms: { version: spec.terms.version } },
    authorIds: [...authorIds].sort(),
    approvals: [...approvals].sort((a, b) => (a.as < b.as ? -1 : 1)),
  });
  const { acceptedBy, joiners, leavers, takenOff, proposed } = grant;
  return {
    ...grant,
    ...text(grant),
    proposed: proposed && { state: proposed.state, ...text(proposed) },
    acceptedBy: [...acceptedBy].sort(),
    joiners: [...joiners].sort((a, b) => (a.personId < b.personId ? -1 : 1)),
    leavers: [...leavers].sort(),
    takenOff: [...takenOff].sort(),
  };
}
