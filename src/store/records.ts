/** Reads rows and puts them together to what core/ speaks of. Used by the writer and by readers alike. */
import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Grant, GrantText, Proposal } from '../core/grants.ts';
import type { Invitation } from '../core/invitations.ts';
import type { Order } from '../core/orders/order.ts';
import type { Lab, Member, Person } from '../core/people.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';
import {
  grantAcceptances,
  grantApprovals,
  grantJoiners,
  grantLeavers,
  grantTakenOff,
  grantVersions,
  grants,
  invitations,
  labs,
  meta,
  orders,
  ordersTold,
  people,
  personKeys,
} from './schema.ts';

type PersonRow = typeof people.$inferSelect;
type GrantRow = typeof grants.$inferSelect;
type OrderRow = typeof orders.$inferSelect;

const metaByKey = prepared((db) =>
  db
    .select()
    .from(meta)
    .where(eq(meta.key, sql.placeholder('key')))
    .prepare(),
);

export function readMeta(db: Db, key: string): string | undefined {
  return metaByKey(db).get({ key })?.value;
}

const putMeta = prepared((db) =>
  db.$client.prepare<[string, string]>('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)'),
);

/** Writes what may be there already. */
export function replaceMeta(db: Db, key: string, value: string): void {
  putMeta(db).run(key, value);
}

const deleteMeta = prepared((db) => db.$client.prepare<[string]>('DELETE FROM meta WHERE key = ?'));

export function forgetMeta(db: Db, key: string): void {
  deleteMeta(db).run(key);
}

export function readLab(db: Db, id: string): Lab | undefined {
  return db.select().from(labs).where(eq(labs.id, id)).get();
}

export function readPerson(db: Db, id: string): Person | undefined {
  const row = db.select().from(people).where(eq(people.id, id)).get();
  return row && readPeople(db, [row])[0];
}

/** The person and their lab. */
export function readMember(db: Db, personId: string): Member | undefined {
  const person = readPerson(db, personId);
  const lab = person && readLab(db, person.labId);
  return person && lab && { person, lab };
}

/** Adds to each person the keys they have in use. */
export function readPeople(db: Db, rows: PersonRow[]): Person[] {
  const ids = rows.map((row) => row.id);
  const keys = inChunks(ids, (some) =>
    db
      .select()
      .from(personKeys)
      .where(and(inArray(personKeys.personId, some), isNull(personKeys.removedAt)))
      .orderBy(asc(personKeys.addedAt))
      .all(),
  );
  const byPerson = groupBy(keys, (key) => key.personId);
  return rows.map((row) => ({
    ...row,
    keys: (byPerson.get(row.id) ?? []).map(({ kid, x, addedAt }) => ({ kid, x, addedAt })),
  }));
}

/** Which of these people are people of a lab and have not been removed. */
export function readPresent(db: Db, labId: string, ids: readonly string[]): Set<string> {
  const found = inChunks([...ids], (some) =>
    db
      .select({ id: people.id })
      .from(people)
      .where(and(inArray(people.id, some), eq(people.labId, labId), isNull(people.removedAt)))
      .all(),
  );
  return new Set(found.map(({ id }) => id));
}

export function readInvitation(db: Db, id: string): Invitation | undefined {
  return db.select().from(invitations).where(eq(invitations.id, id)).get();
}

export function readGrant(db: Db, id: string): Grant | undefined {
  const row = db.select().from(grants).where(eq(grants.id, id)).get();
  return row && readGrants(db, [row])[0];
}

export function grantsOfLab(db: Db, labId: string): Grant[] {
  return readGrants(db, db.select().from(grants).where(eq(grants.labId, labId)).all());
}

/** Adds to each grant its text, authors, approvals, acceptances and changes of the roster. */
export function readGrants(db: Db, rows: GrantRow[]): Grant[] {
  const ids = rows.map((row) => row.id);
  const versions = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantVersions).where(inArray(grantVersions.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  const approvals = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantApprovals).where(inArray(grantApprovals.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  const acceptances = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantAcceptances).where(inArray(grantAcceptances.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  const joiners = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantJoiners).where(inArray(grantJoiners.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  const leavers = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantLeavers).where(inArray(grantLeavers.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  const takenOff = groupBy(
    inChunks(ids, (some) =>
      db.select().from(grantTakenOff).where(inArray(grantTakenOff.grantId, some)).all(),
    ),
    (row) => row.grantId,
  );
  return rows.map((row) => {
    const written: Written = {
      versions: versions.get(row.id) ?? [],
      approvals: approvals.get(row.id) ?? [],
    };
    const text = textOf(row.id, row.version, written);
    return {
      id: row.id,
      state: row.state,
      ...text,
      proposed: proposalOf(row, written),
      acceptedBy: (acceptances.get(row.id) ?? [])
        .filter((acceptance) => acceptance.termsDigest === text.termsDigest)
        .map((acceptance) => acceptance.personId),
      joiners: (joiners.get(row.id) ?? []).map(({ personId, until }) => ({ personId, until })),
      leavers: (leavers.get(row.id) ?? []).map(({ personId }) => personId),
      takenOff: (takenOff.get(row.id) ?? []).map(({ personId }) => personId),
      acceptedForLabBy: row.acceptedForLabBy,
      reviewDueAt: row.reviewDueAt,
      endedAt: row.endedAt,
      createdAt: row.createdAt,
      updatedAt: row.updatedAt,
    };
  });
}

/** All versions of one grant, with the approvals of each. */
interface Written {
  versions: (typeof grantVersions.$inferSelect)[];
  approvals: (typeof grantApprovals.$inferSelect)[];
}

function textOf(grantId: string, version: number, { versions, approvals }: Written): GrantText {
  const row = versions.find((one) => one.version === version);
  if (!row) throw new Error(`Grant ${grantId} has no version ${version}: the database is damaged.`);
  const authors = versions.filter(
    (one) => one.chain === row.chain && one.version <= version && !one.narrows,
  );
  const approved = row.restsOn ?? version;
  return {
    version,
    spec: row.spec,
    termsDigest: row.termsDigest,
    authorIds: [...new Set(authors.map(({ authorId }) => authorId))],
    approvals: approvals
      .filter((approval) => approval.version === approved)
      .map(({ personId, approvedAs, at }) => ({ personId, as: approvedAs, at })),
    approvalsNeeded: row.approvalsNeeded,
  };
}

function proposalOf(row: GrantRow, written: Written): Proposal | null {
  if (row.proposedVersion === null || row.proposedState === null) return null;
  return { state: row.proposedState, ...textOf(row.id, row.proposedVersion, written) };
}

export function toOrder(row: OrderRow): Order {
  const { spec, ...rest } = row;
  // Where its safeguard is lifted is the configuration's to say: the policy fills it in.
  return { ...spec, ...rest, safeguardAt: spec.selector.hasOwnProperty('safeguard') ? [] : null };
}

export function readOrder(db: Db, id: string): Order | undefined {
  const row = db.select().from(orders).where(eq(orders.id, id)).get();
  return row && toOrder(row);
}

/** The orders that nobody has ended, oldest first. Some may have come to an end of their own since. */
export function readOrdersInForce(db: Db): Order[] {
  return db
    .select()
    .from(orders)
    .where(isNull(orders.endedAt))
    .orderBy(asc(orders.id))
    .all()
    .map(toOrder);
}

function groupBy<T>(list: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/** SQLite bounds the number of variables of one statement. */
function inChunks<T>(ids: string[], read: (some: string[]) => T[]): T[] {
  const found: T[] = [];
  for (let i = 0; i < ids.length; i += 500) found.push(...read(ids.slice(i, i + 500)));
  return found;
}

/** The labs that were told of an order. */
export const labsTold = (db: Db, orderId: string): { labId: string }[] =>
  db
    .select({ labId: ordersTold.labId })
    .from(ordersTold)
    .where(eq(ordersTold.orderId, orderId))
    .all();
