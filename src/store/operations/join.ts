/** Joining by an invitation. */
import { eq } from 'drizzle-orm';
import { refuse } from '../../core/denials.ts';
import type { Grant } from '../../core/grants.ts';
import { refusalOfLink, refusalOfPlace, type Invitation } from '../../core/invitations.ts';
import type { Lab, Person } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readInvitation, readLab } from '../records.ts';
import { grantAcceptances, grantJoiners, grants, invitations } from '../schema.ts';
import { joinedEntry, mustFindGrant, orRefuse } from './invitations.ts';
import { mustStillBeFree } from './names.ts';
import { factsReader } from './open-invitations.ts';
import { actorOf, type Operation } from './operation.ts';
import { insertPerson, type NewKey } from './people.ts';
import { takenPlaces } from './roster.ts';

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
    const { at, personId, key } = args;
    const invitation = mustOpen(context, args);
    const lab = readLab(context.db, invitation.labId) ?? refuse('unexpected');
    mustStillBeFree(context, lab, invitation);
    const { name, roles, attributes, subject } = invitation;
    const person = insertPerson(
      context,
      lab,
      { id: personId, name, roles, attributes, subject, key },
      { by: invitation.invitedBy, at },
    );
    context.db
      .update(invitations)
      .set({ joinedAs: person.id, endedAt: at })
      .where(eq(invitations.id, invitation.id))
      .run();
    context.append(
      joinedEntry(invitation, { entryId: args.entryIds[0], at, personId, kid: key.kid }),
    );
    if (invitation.grantId !== null) {
      const grant = mustFindGrant(context, invitation.grantId, lab);
      takePlace(context, grant, invitation, person, at);
      acceptTerms(context, grant, { person, lab }, args);
      const changed = mustFindGrant(context, grant.id, lab);
      context.changed({ kind: 'grant', value: changed });
    }
    return person;
  },
};

function mustOpen(context: WriterContext, args: JoinArgs): Invitation {
  const invitation = readInvitation(context.db, args.invitationId);
  const facts = invitation && factsReader(context)(invitation);
  orRefuse(refusalOfLink(facts, args.secretDigest, args.at));
  return invitation as Invitation;
}

function takePlace(
  context: WriterContext,
  grant: Grant,
  invitation: Invitation,
  person: Person,
  at: number,
): void {
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
  member: { person: Person; lab: Lab },
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
  const { person } = member;
  context.db
    .insert(grantAcceptances)
    .values({ grantId: grant.id, termsDigest, personId: person.id, at })
    .run();
  context.append({
    id: entryIds[1],
    kind: 'grant.terms_accepted',
    at,
    actor: actorOf(member),
    ref: grant.id,
    lab: grant.spec.lab,
    person: person.id,
    grant: grant.id,
    grantVersion: grant.version,
    data: { state: grant.state, termsDigest, forLab: false },
  });
}
