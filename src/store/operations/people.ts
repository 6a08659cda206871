/** Labs, people and their keys. */
import { and, eq, gt, inArray, isNull, type SQL } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import { ROLES_OF_LAB, type Lab, type LabKind, type Person, type Role } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readLab, readMeta, readPerson } from '../records.ts';
import { grantApprovals, grants, labs, people, personKeys, tokens } from '../schema.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

/** A person to be registered. The key is known by its thumbprint (RFC 7638). */
export interface NewPerson {
  id: string;
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  key: { kid: string; x: string };
}

/** The first lab and person, made by whoever has the data directory: the root of all authority. */
export const initialise: Operation<
  { at: number; entryId: string; lab: { id: string; name: string }; admin: NewPerson },
  { lab: Lab; admin: Person }
> = {
  run(context, { at, entryId, lab, admin }) {
    if (readMeta(context.db, 'host_lab'))
      refuse('already_exists', 'This data directory has a host lab already.');
    context.writeMeta('host_lab', lab.id);
    const host = insertLab(context, { ...lab, kind: 'host', createdAt: at });
    const person = insertPerson(context, host, admin, at);
    context.append({
      id: entryId,
      kind: 'system.initialised',
      at,
      actor: { system: 'broker' },
      lab: host.id,
      person: person.id,
      data: { name: host.name, admin: person.name, roles: person.roles, kid: admin.key.kid },
    });
    return { lab: host, admin: person };
  },
};

export const createLab = controlOperation(
  'lab.create',
  (
    context,
    args: { by: By; id: string; name: string; kind: Exclude<LabKind, 'host'> },
    who,
  ): Lab => {
    const lab = insertLab(context, {
      id: args.id,
      kind: args.kind,
      name: args.name,
      createdAt: args.by.at,
    });
    context.append({
      id: args.by.entryId,
      kind: 'lab.created',
      at: args.by.at,
      actor: who.actor,
      ref: lab.id,
      lab: lab.id,
      data: { name: lab.name, labKind: lab.kind },
    });
    return lab;
  },
);

export const createPerson = controlOperation(
  'person.create',
  (context, args: { by: By; labId: string; person: NewPerson }, who): Person => {
    mustReach(who, { labId: args.labId });
    const lab = readLab(context.db, args.labId) ?? refuse('not_found', 'There is no such lab.');
    const person = insertPerson(context, lab, args.person, args.by.at);
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
        kid: args.person.key.kid,
      },
    });
    return person;
  },
);

/**
 * Removes a person: their tokens end, and approvals that they gave to grants still under review count no
 * more, in the same transaction.
 */
export const removePerson = controlOperation(
  'person.remove',
  (context, args: { by: By; personId: string }, who): Person => {
    const person = mustFind(context, args.personId);
    mustReach(who, { labId: person.labId });
    if (person.removedAt !== null)
      refuse('already_decided', 'This person has been removed already.');
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
    return removed;
  },
  (args) => args.personId,
);

export const addPersonKey = controlOperation(
  'person.add_key',
  (context, args: { by: By; personId: string; key: NewPerson['key'] }, who): Person => {
    const person = mustFind(context, args.personId);
    mustReach(who, { labId: person.labId, personId: person.id });
    if (person.removedAt !== null) refuse('person_removed');
    if (person.keys.length >= 8)
      refuse('invalid_request', 'A person has at most 8 keys. Remove one first.');
    insertKey(context, person.id, args.key, args.by.at);
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

function insertLab(context: WriterContext, lab: Lab): Lab {
  const [inserted] = context.db.insert(labs).values(lab).onConflictDoNothing().returning().all();
  if (!inserted) refuse('already_exists', `There is a lab named "${lab.name}" already.`);
  context.changed({ kind: 'lab', value: lab });
  return lab;
}

function insertPerson(context: WriterContext, lab: Lab, person: NewPerson, at: number): Person {
  const wrong = person.roles.filter((role) => !ROLES_OF_LAB[lab.kind].includes(role));
  if (wrong.length > 0 || person.roles.length === 0) {
    refuse(
      'invalid_request',
      `People of a ${lab.kind} lab can be: ${ROLES_OF_LAB[lab.kind].join(', ')}.`,
      { param: 'roles' },
    );
  }
  const { key, ...rest } = person;
  context.db
    .insert(people)
    .values({
      ...rest,
      roles: [...new Set(person.roles)],
      labId: lab.id,
      createdAt: at,
      removedAt: null,
    })
    .run();
  insertKey(context, person.id, key, at);
  const inserted = mustFind(context, person.id);
  context.changed({ kind: 'person', value: inserted });
  return inserted;
}

/** A key names exactly one person, for ever: otherwise one key could speak as two people. */
function insertKey(
  context: WriterContext,
  personId: string,
  key: NewPerson['key'],
  at: number,
): void {
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

/** No stream outlives its token by more (the configuration's bound of a request's life). */
const LONGEST_STREAM_MS = 86_400_000;

/** Ends tokens. @returns how many of them were live */
function endTokens(context: WriterContext, which: SQL | undefined, at: number): number {
  const ended = context.db
    .update(tokens)
    .set({ revokedAt: at })
    .where(and(which, isNull(tokens.revokedAt), gt(tokens.expiresAt, at - LONGEST_STREAM_MS)))
    .returning()
    .all();
  // Expired ones, too: a stream that began with one may be running.
  for (const token of ended) context.changed({ kind: 'token', value: token });
  return ended.filter((token) => token.expiresAt > at).length;
}

/** @returns ids of the grants under review that lost an approval */
function undoApprovals(context: WriterContext, personId: string): string[] {
  const { db } = context;
  const underReview = db
    .select({ id: grants.id })
    .from(grants)
    .where(eq(grants.state, 'submitted'));
  const undone = db
    .delete(grantApprovals)
    .where(and(eq(grantApprovals.personId, personId), inArray(grantApprovals.grantId, underReview)))
    .returning()
    .all();
  const ids = [...new Set(undone.map(({ grantId }) => grantId))];
  for (const id of ids) {
    const grant = readGrant(db, id);
    if (grant) context.changed({ kind: 'grant', value: grant });
  }
  return ids;
}

function mustFind(context: WriterContext, personId: string): Person {
  return readPerson(context.db, personId) ?? refuse('not_found');
}
