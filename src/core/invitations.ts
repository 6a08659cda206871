/** Invitations: who is asked to join which lab as what, and whether a link still opens anything. */
import { timingSafeEqual } from 'node:crypto';
import { refusalOfEndedGrant } from './access.ts';
import { isWithin, reachOf } from './authority.ts';
import { refusal, type DenialCode, type Refusal } from './denials.ts';
import { rosterOf, type Grant, type Rostered } from './grants.ts';
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
  /** Why it was withdrawn, where nobody did but what it rests on came to an end. */
  withdrawnBecause: WithdrawnBecause | null;
}

/** What takes an invitation with it: its sender leaves, or its grant ends. */
export type WithdrawnBecause = Extract<
  DenialCode,
  | 'person_removed'
  | 'access_handed_back'
  | 'grant_not_active'
  | 'grant_revoked'
  | 'grant_closed'
  | 'grant_expired'
>;

export type InvitationState = 'open' | 'joined' | 'withdrawn' | 'expired';

/** An invitation with what it rests on, as that is at a moment. */
export interface InvitationFacts {
  invitation: Invitation;
  /** Whoever sent it. */
  inviter: Member | undefined;
  /** The grant that it names. */
  grant: Grant | undefined;
}

export interface InvitationStanding {
  state: InvitationState;
  /** Why it opens nothing, or null when it is open. */
  refusal: Refusal | null;
}

/**
 * How an invitation stands at a moment. What is listed as open, what counts against a roster and what a link
 * opens are all this function.
 *
 * @param now epoch milliseconds
 */
export function invitationStanding(
  { invitation, inviter, grant }: InvitationFacts,
  now: number,
): InvitationStanding {
  const notValid = refusal('invitation_not_valid');
  if (invitation.joinedAs !== null) return { state: 'joined', refusal: notValid };
  if (invitation.endedAt !== null) {
    const why = invitation.withdrawnBecause;
    const because = why === null ? notValid : refusalOfWithdrawn(why, grant, now);
    return { state: 'withdrawn', refusal: because };
  }
  if (now >= invitation.expiresAt) return { state: 'expired', refusal: notValid };
  if (!mayInvite(inviter, invitation.labId)) return { state: 'withdrawn', refusal: SENDER_IS_OUT };
  const over = grant ? refusalOfEndedGrant(grant, now) : null;
  return over ? { state: 'expired', refusal: over } : { state: 'open', refusal: null };
}

const SENDER_IS_OUT = refusal(
  'invitation_not_valid',
  'Whoever sent this invitation may not invite people to this lab any more. Ask the lab for a new one.',
);

function refusalOfWithdrawn(why: WithdrawnBecause, grant: Grant | undefined, now: number): Refusal {
  if (why === 'person_removed' || why === 'access_handed_back') return SENDER_IS_OUT;
  return (grant && refusalOfEndedGrant(grant, now)) ?? refusal(why);
}

/** An invitation speaks for whoever sent it, and no longer than they could say it themselves. */
function mayInvite(inviter: Member | undefined, labId: string): boolean {
  const reach = inviter && reachOf(inviter, 'person.invite');
  return typeof reach === 'string' && isWithin(reach, inviter as Member, { labId });
}

const NO_DIGEST = Buffer.alloc(32);

/**
 * Why a link does not open its invitation at a moment, or null. Whatever is wrong with the link itself gives
 * one and the same refusal, after the same work, so that nothing can be probed.
 *
 * @param facts of the invitation that the link names, if there is one
 * @param secretDigest SHA-256 of the secret that was presented, hex
 * @param now epoch milliseconds
 */
export function refusalOfLink(
  facts: InvitationFacts | undefined,
  secretDigest: string,
  now: number,
): Refusal | null {
  const known = facts ? Buffer.from(facts.invitation.secretDigest, 'hex') : NO_DIGEST;
  const right = timingSafeEqual(known, Buffer.from(secretDigest, 'hex'));
  if (!facts || !right) return refusal('invitation_not_valid');
  return invitationStanding(facts, now).refusal;
}

/**
 * How many places of a grant's roster are taken at a moment. Places that have ended, and those of people
 * who were removed, are free again.
 *
 * @param isPresent whether a person has not been removed
 */
export function placesTaken(
  grant: Rostered,
  isPresent: (personId: string) => boolean,
  now: number,
): number {
  return rosterOf(grant).filter((place) => place.until > now && isPresent(place.personId)).length;
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
