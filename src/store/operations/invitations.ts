/** Invitations: links by which people register themselves, each with a key that only they hold. */
import { eq } from 'drizzle-orm';
import {
  MAX_ENTRY_BYTES,
  serialiseEntry,
  writeEntry,
  type EntryDraft,
  type Json,
} from '../../core/audit/entry.ts';
import { refusalOfEndedGrant } from '../../core/access.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import { refusalOfPlace, type Invitation } from '../../core/invitations.ts';
import type { Lab } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readInvitation, readLab } from '../records.ts';
import { invitations } from '../schema.ts';
import { mustBeFree } from './names.ts';
import { mustNotLoosen } from './attribute-orders.ts';
import { controlOperation, mustAnswerFor, mustReach, type By } from './operation.ts';
import { mustHaveRolesOfLab } from './people.ts';
import { promisedPlaces } from './roster.ts';

/** An invitation before anything has come of it. */
type NewInvitation = Omit<
  Invitation,
  'invitedBy' | 'createdAt' | 'joinedAs' | 'endedAt' | 'withdrawnBecause'
>;

export const invitePerson = controlOperation(
  'person.invite',
  (context, args: { by: By; invitation: NewInvitation }, who): Invitation => {
    const { by, invitation: asked } = args;
    mustAnswerFor(who, asked.labId);
    const lab = readLab(context.db, asked.labId) ?? refuse('not_found', 'There is no such lab.');
    mustHaveRolesOfLab(lab, asked.roles);
    mustBeFree(context, lab, asked, by.at);
    mustNotLoosen(context, asked, Object.keys(asked.attributes), who, by.at);
    if (asked.rosterUntil !== null && asked.rosterUntil <= asked.expiresAt) {
      refuse('invalid_request', 'The place on the roster would end before the link does.', {
        param: 'rosterUntil',
      });
    }
    if (asked.grantId !== null) {
      const grant = mustFindGrant(context, asked.grantId, lab);
      orRefuse(refusalOfEndedGrant(grant, by.at));
      orRefuse(refusalOfPlace(grant, promisedPlaces(context, grant, by.at)));
    }
    const invitation: Invitation = {
      ...asked,
      roles: [...new Set(asked.roles)],
      invitedBy: who.member.person.id,
      createdAt: by.at,
      joinedAs: null,
      endedAt: null,
      withdrawnBecause: null,
    };
    mustFitWhenUsed(context, invitation);
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
  'person.withdraw_invitation',
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

/** The entry of a person who joined. */
export function joinedEntry(
  invitation: Invitation,
  joined: { entryId: string; at: number; personId: string; kid: string },
): EntryDraft {
  const { labId: lab, roles, grantId, invitedBy } = invitation;
  const { personId: person, kid } = joined;
  return {
    id: joined.entryId,
    kind: 'person.joined',
    at: joined.at,
    actor: { person, lab, roles },
    ref: invitation.id,
    lab,
    person,
    grant: grantId ?? undefined,
    data: { ...whoIsMeant(invitation), invitedBy, kid },
  };
}

/** Refuses now what could not be recorded when the link is used, by somebody who could not help it. */
function mustFitWhenUsed(context: WriterContext, invitation: Invitation): void {
  const anId = 'x'.repeat(invitation.id.length);
  const at = invitation.expiresAt;
  const joined = { entryId: anId, at, personId: anId, kid: 'x'.repeat(43) };
  const { length } = serialiseEntry(writeEntry(joinedEntry(invitation, joined)), {
    log: context.log.origin,
    index: Number.MAX_SAFE_INTEGER,
    committedAt: at,
    host: context.host,
  });
  if (length <= MAX_ENTRY_BYTES) return;
  refuse(
    'invalid_request',
    `What would be recorded when the person joins comes to ${length} bytes; an entry of the log holds ${MAX_ENTRY_BYTES}. Shorten the attributes.`,
    { param: 'attributes' },
  );
}

/** The grant, which must be the lab's. @throws RefusedError `not_found` */
export function mustFindGrant(context: WriterContext, grantId: string, lab: Lab): Grant {
  const grant = readGrant(context.db, grantId);
  if (grant?.spec.lab !== lab.id)
    return refuse('not_found', 'This lab has no such grant.', { param: 'grant' });
  return grant;
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

export function orRefuse(why: Refusal | null): void {
  if (why) throw new RefusedError(why);
}
