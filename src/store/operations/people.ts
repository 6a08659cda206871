/** People and their keys. */
import { and, eq, isNull, or } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import {
  allSet,
  ROLES_OF_LAB,
  type AttributeSet,
  type Lab,
  type Person,
  type Role,
} from '../../core/people.ts';
import { placesOf } from '../../core/hand-back.ts';
import type { WriterContext } from '../context.ts';
import { beginDuties } from '../duties.ts';
import { noteIntroduction } from '../introductions.ts';
import { grantsOfLab, readGrant, readLab, readPeople, readPerson } from '../records.ts';
import { grantApprovals, grants, people, personKeys, tokens } from '../schema.ts';
import { mustNotLoosen } from './attribute-orders.ts';
import { endTokens } from './end-tokens.ts';
import { mustBeFree } from './names.ts';
import { withdrawSentBy } from './open-invitations.ts';
import { controlOperation, mustAnswerFor, mustReach, type By } from './operation.ts';

/** A public key to be registered, known by its thumbprint (RFC 7638). */
export interface NewKey {
  kid: string;
  x: string;
}

/** A person to be registered: with a key of their own, or known to their lab, which signs for them. */
export interface NewPerson {
  id: string;
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  /** What their lab calls them; null: their id. */
  subject: string | null;
  key: NewKey | undefined;
}

export const createPerson = controlOperation(
  'person.create',
  (context, args: { by: By; labId: string; person: NewPerson }, who): Person => {
    mustAnswerFor(who, args.labId);
    const lab = readLab(context.db, args.labId) ?? refuse('not_found', 'There is no such lab.');
    mustBeFree(context, lab, args.person, args.by.at);
    const { id, attributes } = args.person;
    mustNotLoosen(context, { id, labId: lab.id }, Object.keys(attributes), who, args.by.at);
    const person = insertPerson(context, lab, args.person, {
      by: who.member.person.id,
      at: args.by.at,
    });
    context.append({
      id: args.by.entryId,
      kind: 'person.created',
      at: args.by.at,
      actor: who.actor,
      ref: person.id,
      lab: lab.id,
      person: person.id,
      data: {
        name: person.name,
        roles: person.roles,
        attributes: person.attributes,
        subject: person.subject ?? undefined,
        kid: args.person.key?.kid,
      },
    });
    return person;
  },
);

/**
 * Removes a person: their tokens end, and approvals that they gave to grants still under review count no
 * more, nor do invitations that they sent, in the same transaction.
 */
export const removePerson = controlOperation(
  'person.remove',
  (context, args: { by: By; personId: string }, who): Person => {
    const person = mustFind(context, args.personId);
    mustReach(who, { labId: person.labId });
    if (person.removedAt !== null)
      refuse('already_decided', 'This person has been removed already.');
    mustLeaveAnAdmin(context, person);
    context.db.update(people).set({ removedAt: args.by.at }).where(eq(people.id, person.id)).run();
    const tokensEnded = endTokens(context, eq(tokens.personId, person.id), args.by.at);
    const approvalsUndone = undoApprovals(context, person.id);
    const removed = mustFind(context, person.id);
    context.changed({ kind: 'person', value: removed });
    context.append({
      id: args.by.entryId,
      kind: 'person.removed',
      at: args.by.at,
      actor: who.actor,
      ref: person.id,
      lab: person.labId,
      person: person.id,
      data: { tokensEnded, approvalsUndone },
    });
    const { actor } = who;
    withdrawSentBy(context, person.id, { at: args.by.at, actor, because: 'person_removed' });
    const ending = { cause: 'person_removed', at: args.by.at, actor, personId: person.id } as const;
    for (const grant of placesOf(grantsOfLab(context.db, person.labId), person.id, args.by.at))
      beginDuties(context, grant, ending);
    return removed;
  },
  (args) => args.personId,
);

export const addPersonKey = controlOperation(
  'person.add_key',
  (context, args: { by: By; personId: string; key: NewKey }, who): Person => {
    const person = mustFind(context, args.personId);
    mustReach(who, { labId: person.labId, personId: person.id });
    if (person.removedAt !== null) refuse('person_removed');
    if (person.keys.length >= 8)
      refuse('invalid_request', 'A person has at most 8 keys. Remove one first.');
    insertKey(context, person.id, args.key, args.by.at);
    noteIntroduction(context.db, person.id, who.member.person.id, args.by.at);
    const changed = mustFind(context, person.id);
    context.changed({ kind: 'person', value: changed });
    context.append({
      id: args.by.entryId,
      kind: 'person.key_added',
      at: args.by.at,
      actor: who.actor,
      ref: person.id,
      lab: person.labId,
      person: person.id,
      data: { kid: args.key.kid },
    });
    return changed;
  },
  (args) => args.personId,
);

/** Removes a key and ends every token that it obtained, in the same transaction. */
export const removePersonKey = controlOperation(
  'person.remove_key',
  (context, args: { by: By; personId: string; kid: string }, who): Person => {
    const person = mustFind(context, args.personId);
    mustReach(who, { labId: person.labId, personId: person.id });
    if (!person.keys.some((key) => key.kid === args.kid))
      refuse('not_found', 'This person has no such key in use.');
    if (person.keys.length === 1 && !readLab(context.db, person.labId)?.identity)
      mustLeaveAnAdmin(context, person);
    context.db
      .update(personKeys)
      .set({ removedAt: args.by.at })
      .where(eq(personKeys.kid, args.kid))
      .run();
    const ofKey = and(eq(tokens.personId, person.id), eq(tokens.kid, args.kid));
    const tokensEnded = endTokens(context, ofKey, args.by.at);
    const changed = mustFind(context, person.id);
    context.changed({ kind: 'person', value: changed });
    context.append({
      id: args.by.entryId,
      kind: 'person.key_removed',
      at: args.by.at,
      actor: who.actor,
      ref: person.id,
      lab: person.labId,
      person: person.id,
      data: { kid: args.kid, tokensEnded },
    });
    return changed;
  },
  (args) => args.personId,
);

/**
 * Registers a person. The entry, and that nobody else goes by their name, are the caller's.
 *
 * @param set who says what is known of them, and when this is
 */
export function insertPerson(
  context: WriterContext,
  lab: Lab,
  person: NewPerson,
  set: AttributeSet,
): Person {
  mustHaveRolesOfLab(lab, person.roles);
  const { key, ...rest } = person;
  const { at } = set;
  mustBeKnowable(lab, person);
  context.db
    .insert(people)
    .values({
      ...rest,
      roles: [...new Set(person.roles)],
      attributesUntil: {},
      attributesSet: allSet(person.attributes, set),
      labId: lab.id,
      createdAt: at,
      removedAt: null,
    })
    .run();
  if (key) insertKey(context, person.id, key, at);
  if (set.by !== null) noteIntroduction(context.db, person.id, set.by, at);
  const inserted = mustFind(context, person.id);
  context.changed({ kind: 'person', value: inserted });
  return inserted;
}

export function mustHaveRolesOfLab(lab: Lab, roles: readonly Role[]): void {
  const wrong = roles.filter((role) => !ROLES_OF_LAB[lab.kind].includes(role));
  if (wrong.length === 0 && roles.length > 0) return;
  refuse(
    'invalid_request',
    `People of ${lab.kind === 'auditor' ? 'an' : 'a'} ${lab.kind} lab can be: ${ROLES_OF_LAB[lab.kind].join(', ')}.`,
    { param: 'roles' },
  );
}

/**
 * Without an admin of the host who can log in, nobody could register anybody again, an admin included.
 *
 * @param person who is to be one no more
 */
export function mustLeaveAnAdmin({ db, host }: WriterContext, person: Person): void {
  if (person.labId !== host || !person.roles.includes('admin')) return;
  const isVouchedFor = Boolean(readLab(db, host)?.identity);
  const rows = db
    .select()
    .from(people)
    .where(and(eq(people.labId, host), isNull(people.removedAt)))
    .all();
  const isLeft = readPeople(db, rows).some(
    ({ id, roles, keys }) =>
      id !== person.id && roles.includes('admin') && (isVouchedFor || keys.length > 0),
  );
  if (!isLeft) refuse('last_admin');
}

/** Nobody is registered whom no signature could ever name. */
function mustBeKnowable(lab: Lab, { subject, key }: NewPerson): void {
  if (!key && subject === null) {
    refuse(
      'invalid_request',
      'Give a public key; or, where the lab signs for its people, what it calls this one ("subject").',
      { param: 'publicKey' },
    );
  }
  if (!key && !lab.identity) {
    refuse(
      'invalid_request',
      'This lab has not registered an identity, so it cannot sign for anybody. Register that first, or give a public key.',
      { param: 'publicKey' },
    );
  }
}

/** A key names exactly one person, for ever: otherwise one key could speak as two people. */
function insertKey(context: WriterContext, personId: string, key: NewKey, at: number): void {
  const [inserted] = context.db
    .insert(personKeys)
    .values({ ...key, personId, addedAt: at, removedAt: null })
    .onConflictDoNothing()
    .returning()
    .all();
  if (!inserted)
    refuse('already_exists', 'This key is or was registered. Make a new one.', {
      param: 'publicKey',
    });
}

/** @returns ids of the grants under review, or with a version under review, that lost an approval */
function undoApprovals(context: WriterContext, personId: string): string[] {
  const { db } = context;
  const underReview = db
    .select()
    .from(grants)
    .where(or(eq(grants.state, 'submitted'), eq(grants.proposedState, 'submitted')))
    .all();
  const lost = underReview.filter(({ id, version, proposedVersion }) => {
    const reviewed = and(
      eq(grantApprovals.grantId, id),
      eq(grantApprovals.version, proposedVersion ?? version),
    );
    const ofPerson = and(reviewed, eq(grantApprovals.personId, personId));
    return db.delete(grantApprovals).where(ofPerson).run().changes > 0;
  });
  for (const { id } of lost) {
    const grant = readGrant(db, id);
    if (grant) context.changed({ kind: 'grant', value: grant });
  }
  return lost.map(({ id }) => id);
}

export function mustFind(context: WriterContext, personId: string): Person {
  return readPerson(context.db, personId) ?? refuse('not_found');
}
