/** Invitations: who is asked to join which lab as what, and whether a link still opens anything. */
import { timingSafeEqual } from 'node:crypto';
import { grantStanding } from './access.ts';
import { isWithin, reachOf } from './authority.ts';
import { refusal, type Refusal } from './denials.ts';
import { rosterOf, type Grant } from './grants.ts';
import type { Member, Role } from './people.ts';

/** Hours that an invitation can stay open, and how many it does where nothing is said. */
export const INVITATION_HOURS = { least: 1, most: 336, usual: 72 } as const;

export interface Invitation {
  id: string;
  labId: string;
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  subject: string | null;
  /** The grant on whose roster the person gets a place. */
  grantId: string | null;
  /** When that place ends; null: with the grant. */
  rosterUntil: number | null;
  /** SHA-256 of the link's secret, hex. The secret itself is nowhere kept. */
  secretDigest: string;
  invitedBy: string;
  createdAt: number;
  expiresAt: number;
  /** The person who used it. */
  joinedAs: string | null;
  /** When it was used or withdrawn. */
  endedAt: number | null;
}

export type InvitationState = 'open' | 'joined' | 'withdrawn' | 'expired';

/** How an invitation stands at a moment, in epoch milliseconds. */
export function invitationState(
  invitation: Pick<Invitation, 'joinedAs' | 'endedAt' | 'expiresAt'>,
  now: number,
): InvitationState {
  if (invitation.joinedAs !== null) return 'joined';
  if (invitation.endedAt !== null) return 'withdrawn';
  return now < invitation.expiresAt ? 'open' : 'expired';
}

const NO_DIGEST = Buffer.alloc(32);

/**
 * Whether a link opens its invitation at a moment. Whatever is wrong with the link itself gives one and the
 * same refusal, after the same work, so that nothing can be probed.
 *
 * @param invitation the one that the link names, if there is one
 * @param secretDigest SHA-256 of the secret that was presented, hex
 * @param inviter whoever sent it, as they are now
 * @param now epoch milliseconds
 */
export function refusalOfLink(
  invitation: Invitation | undefined,
  secretDigest: string,
  inviter: Member | undefined,
  now: number,
): Refusal | null {
  const known = invitation ? Buffer.from(invitation.secretDigest, 'hex') : NO_DIGEST;
  const right = timingSafeEqual(known, Buffer.from(secretDigest, 'hex'));
  if (!invitation || !right || invitationState(invitation, now) !== 'open')
    return refusal('invitation_not_valid');
  // It speaks for whoever sent it, and no longer than they could say it themselves.
  const reach = inviter && reachOf(inviter, 'person.invite');
  const stands =
    typeof reach === 'string' && isWithin(reach, inviter as Member, { labId: invitation.labId });
  return stands
    ? null
    : refusal(
        'invitation_not_valid',
        'Whoever sent this invitation may not invite people to this lab any more. Ask the lab for a new one.',
      );
}

/** Grants under which nobody will ever do anything again. */
const OVER: ReadonlySet<string> = new Set(['rejected', 'revoked', 'closed', 'expired']);

/** Why nothing more will happen under a grant, or null. */
export function refusalOfEndedGrant(grant: Grant, now: number): Refusal | null {
  const standing = grantStanding(grant, [], now);
  return OVER.has(standing.status) ? standing.refusal : null;
}

/**
 * How many places of a grant's roster are taken at a moment. Places that have ended, and those of people
 * who were removed, are free again.
 *
 * @param isPresent whether a person has not been removed
 */
export function placesTaken(
  grant: Pick<Grant, 'spec' | 'joiners' | 'leavers'>,
  isPresent: (personId: string) => boolean,
  now: number,
): number {
  const holders = rosterOf(grant)
    .filter((place) => place.until > now && isPresent(place.personId))
    .map((place) => place.personId);
  return new Set(holders).size;
}

/** Whether a grant's roster, with so many places taken, has one left. */
export function refusalOfPlace({ spec: { maxPeople } }: Grant, taken: number): Refusal | null {
  if (maxPeople === undefined) {
    return refusal(
      'roster_full',
      'This grant is for the people whom its text names and no others: nobody can be invited to it. A grant that says "maxPeople" can take more.',
    );
  }
  return taken < maxPeople
    ? null
    : refusal(
        'roster_full',
        `All ${maxPeople} places of the grant's roster are taken, open invitations counted. Withdraw one ("sallyport person uninvite"), remove a person, or ask for a new grant.`,
      );
}
