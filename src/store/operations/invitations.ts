/** Invitations: links by which people register themselves, each with a key that only they hold. */
import { and, count, eq, gt, isNull } from 'drizzle-orm';
import type { EntryActor, Json } from '../../core/audit/entry.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import {
  placesTaken,
  refusalOfEndedGrant,
  refusalOfLink,
  refusalOfPlace,
  type Invitation,
} from '../../core/invitations.ts';
import type { Lab, Person, Role } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readInvitation, readLab, readMember, readPerson } from '../records.ts';
import { grantAcceptances, grantJoiners, grants, invitations, people } from '../schema.ts';
import { actorOf, controlOperation, mustReach, type By, type Operation } from './operation.ts';
import { insertPerson, mustBeFreeSubject, mustHaveRolesOfLab, type NewKey } from './people.ts';

interface NewInvitation {
  id: string;
  labId: string;
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  subject: string | null;
  grantId: string | null;
  rosterUntil: number | null;
  /** SHA-256 of the link's secret, hex. */
  secretDigest: string;
  expiresAt: number;
}

export const invitePerson = controlOperation(
  'person.invite',
  (context, args: { by: By; invitation: NewInvitation }, who): Invitation => {
    const { by, invitation: asked } = args;
    mustReach(who, { labId: asked.labId });
    const lab = readLab(context.db, asked.labId) ?? refuse('not_found', 'There is no such lab.');
    mustHaveRolesOfLab(lab, asked.roles);
    mustBeFree(context, lab, asked);
    if (asked.rosterUntil !== null && asked.rosterUntil <= asked.expiresAt) {
      refuse('invalid_request', 'The place on the roster would end before the link does.', {
        param: 'rosterUntil',
      });
    }
    if (asked.grantId !== null) {
      const grant = mustFindGrant(context, asked.grantId, lab);
      orRefuse(refusalOfEndedGrant(grant, by.at));
      const taken = takenPlaces(context, grant, by.at) + openInvitations(context, grant.id, by.at);
      orRefuse(refusalOfPlace(grant, taken));
    }
    const invitation: Invitation = {
      ...asked,
      roles: [...new Set(asked.roles)],
      invitedBy: who.member.person.id,
      createdAt: by.at,
      joinedAs: null,
      endedAt: null,
    };
    context.db.insert(invitations).values(invitation).run();
    context.append({
      id: by.entryId,
      kind: 'person.invited',
      at: by.at,
      actor: who.actor,
      ref: invitation.id,
      lab: lab.id,
      grant: invitation.grantId ?? undefined,
      data: { ...whoIsMeant(invitation), expiresAt: new Date(invitation.expiresAt).toISOString() },
    });
    return invitation;
  },
);

export const withdrawInvitation = controlOperation(
  'person.invite',
  (context, args: { by: By; invitationId: string }, who): Invitation => {
    const invitation = readInvitation(context.db, args.invitationId) ?? refuse('not_found');
    mustReach(who, { labId: invitation.labId });
    if (invitation.joinedAs !== null) {
      refuse(
        'already_decided',
        `This invitation has been used by ${invitation.joinedAs}. To take their access away, remove the person.`,
      );
    }
    if (invitation.endedAt !== null)
      refuse('already_decided', 'This invitation has been withdrawn already.');
    context.db
      .update(invitations)
      .set({ endedAt: args.by.at })
      .where(eq(invitations.id, invitation.id))
      .run();
    context.append({
      id: args.by.entryId,
      kind: 'person.invitation_withdrawn',
      at: args.by.at,
      actor: who.actor,
      ref: invitation.id,
      lab: invitation.labId,
      grant: invitation.grantId ?? undefined,
      data: { name: invitation.name },
    });
    return { ...invitation, endedAt: args.by.at };
  },
  (args) => args.invitationId,
);

interface JoinArgs {
  at: number;
  /** For the person, and for the terms. */
  entryIds: [string, string];
  invitationId: string;
  secretDigest: string;
  personId: string;
  /** The key that whoever joins has proved to hold. */
  key: NewKey;
  /** SHA-256 of the terms that were read, hex. */
  termsDigest?: string | undefined;
}

/**
 * Uses up an invitation: the person, their place on the roster and their acceptance of the terms are there
 * together or not at all, and a link that was refused is as good as before. What is refused leaves no
 * entry: whoever holds a link has not shown who they are.
 */
export const joinByInvitation: Operation<JoinArgs, Person> = {
  run(context, args) {
    const { at } = args;
    const invitation = mustOpen(context, args);
    const lab = readLab(context.db, invitation.labId) ?? refuse('unexpected');
    mustBeFree(context, lab, invitation);
    const { name, roles, attributes, subject } = invitation;
    const person = insertPerson(
      context,
      lab,
      { id: args.personId, name, roles, attributes, subject, key: args.key },
      at,
    );
    context.db
      .update(invitations)
      .set({ joinedAs: person.id, endedAt: at })
      .where(eq(invitations.id, invitation.id))
      .run();
    const actor = actorOf({ person, lab });
    context.append({
      id: args.entryIds[0],
      kind: 'person.joined',
      at,
      actor,
      ref: invitation.id,
      lab: lab.id,
      person: person.id,
      grant: invitation.grantId ?? undefined,
      data: { ...whoIsMeant(invitation), invitedBy: invitation.invitedBy, kid: args.key.kid },
    });
    if (invitation.grantId !== null) {
      const grant = mustFindGrant(context, invitation.grantId, lab);
      takePlace(context, grant, invitation, person, at);
      acceptTerms(context, grant, person, actor, args);
      const changed = mustFindGrant(context, grant.id, lab);
      context.changed({ kind: 'grant', value: changed });
    }
    return person;
  },
};

function mustOpen(context: WriterContext, args: JoinArgs): Invitation {
  const invitation = readInvitation(context.db, args.invitationId);
  const inviter = invitation && readMember(context.db, invitation.invitedBy);
  orRefuse(refusalOfLink(invitation, args.secretDigest, inviter, args.at));
  return invitation as Invitation;
}

function takePlace(
  context: WriterContext,
  grant: Grant,
  invitation: Invitation,
  person: Person,
  at: number,
): void {
  orRefuse(refusalOfEndedGrant(grant, at));
  // The grant may have been amended since the invitation was counted in.
  orRefuse(refusalOfPlace(grant, takenPlaces(context, grant, at)));
  context.db
    .insert(grantJoiners)
    .values({
      grantId: grant.id,
      personId: person.id,
      until: invitation.rosterUntil,
      addedBy: invitation.invitedBy,
      addedAt: at,
    })
    .run();
  context.db.update(grants).set({ updatedAt: at }).where(eq(grants.id, grant.id)).run();
}

/** Where the grant is in force, nobody joins it without having read the terms as they stand now. */
function acceptTerms(
  context: WriterContext,
  grant: Grant,
  person: Person,
  actor: EntryActor,
  { at, entryIds, termsDigest }: JoinArgs,
): void {
  if (grant.state !== 'active') return;
  if (termsDigest !== grant.termsDigest) {
    refuse(
      'terms_not_accepted',
      `The terms of the grant have the digest ${grant.termsDigest}. Read them, and send that with your yes.`,
      { param: 'termsDigest' },
    );
  }
  context.db
    .insert(grantAcceptances)
    .values({ grantId: grant.id, termsDigest, personId: person.id, at })
    .run();
  context.append({
    id: entryIds[1],
    kind: 'grant.terms_accepted',
    at,
    actor,
    ref: grant.id,
    lab: grant.spec.lab,
    person: person.id,
    grant: grant.id,
    grantVersion: grant.version,
    data: { state: grant.state, termsDigest, forLab: false },
  });
}

/** So that a name in the log says who it was: two people of one lab do not go by the same one. */
function mustBeFree(
  context: WriterContext,
  lab: Lab,
  { name, subject }: Pick<Invitation, 'name' | 'subject'>,
): void {
  const namesake = context.db
    .select({ id: people.id })
    .from(people)
    .where(and(eq(people.labId, lab.id), eq(people.name, name), isNull(people.removedAt)))
    .get();
  if (namesake) {
    refuse(
      'already_exists',
      `The lab has a person named "${name}" already: ${namesake.id}. Add something that tells the two apart.`,
      { param: 'name' },
    );
  }
  mustBeFreeSubject(context, lab, subject);
}

function mustFindGrant(context: WriterContext, grantId: string, lab: Lab): Grant {
  const grant = readGrant(context.db, grantId);
  if (grant?.spec.lab !== lab.id)
    return refuse('not_found', 'This lab has no such grant.', { param: 'grant' });
  return grant;
}

/** How many places of a grant's roster are taken at a moment. */
export function takenPlaces(context: WriterContext, grant: Grant, now: number): number {
  const isPresent = (id: string): boolean => readPerson(context.db, id)?.removedAt === null;
  return placesTaken(grant, isPresent, now);
}

function openInvitations(context: WriterContext, grantId: string, now: number): number {
  const [found] = context.db
    .select({ open: count() })
    .from(invitations)
    .where(
      and(
        eq(invitations.grantId, grantId),
        isNull(invitations.endedAt),
        gt(invitations.expiresAt, now),
      ),
    )
    .all();
  return found?.open ?? 0;
}

/** Of an invitation, what stands in the log: all but the digest of its secret. */
function whoIsMeant(invitation: Invitation): Record<string, Json | undefined> {
  const { name, roles, attributes, subject, rosterUntil } = invitation;
  return {
    name,
    roles,
    attributes,
    subject: subject ?? undefined,
    rosterUntil: rosterUntil === null ? undefined : new Date(rosterUntil).toISOString(),
  };
}

function orRefuse(why: Refusal | null): void {
  if (why) throw new RefusedError(why);
}
