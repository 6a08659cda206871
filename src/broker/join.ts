/**
 * Joining by invitation. Whoever holds the link may try; what is refused is counted, not logged one by one,
 * and uses up nothing.
 */
import { RefusedError } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import { refusalOfLink, type Invitation } from '../core/invitations.ts';
import type { Lab, Person, PublicKey } from '../core/people.ts';
import { mintId } from '../lib/ids.ts';
import { checkJoinProof } from '../oauth/join-proof.ts';
import type { Broker } from './broker.ts';
import { digestOfSecret } from './invite-person.ts';

export interface ShownInvitation {
  invitation: Invitation;
  lab: Lab;
  host: Lab;
  inviter: Person;
  grant: Grant | undefined;
}

/** What an invitation says to whoever holds its link. @throws RefusedError `invitation_not_valid` */
export function previewInvitation(
  broker: Broker,
  invitationId: string,
  secret: string,
): Promise<ShownInvitation> {
  return orCount(broker, async () => {
    const invitation = mustOpen(broker, invitationId, secret);
    const { policy, readers } = broker;
    const inviter = policy.person(invitation.invitedBy);
    const lab = policy.lab(invitation.labId);
    const host = policy.lab(readers.hostLabId() ?? '');
    if (!inviter || !lab || !host)
      throw new Error(`What invitation ${invitation.id} refers to is missing from the policy.`);
    const grant = invitation.grantId === null ? undefined : policy.grant(invitation.grantId);
    return { invitation, lab, host, inviter, grant };
  });
}

export interface JoinInput {
  secret: string;
  publicKey: PublicKey;
  /** JWT by the key that is to be registered (oauth/join-proof.ts). */
  proof: string;
  /** SHA-256 of the grant's terms that were read, hex. */
  termsDigest?: string | undefined;
}

/**
 * Registers whoever holds the link with a key that they prove to hold, puts them on the roster of the
 * grant that the invitation names, and records that they accept its terms where it is in force.
 *
 * @throws RefusedError
 */
export function joinByInvitation(
  broker: Broker,
  invitationId: string,
  { secret, publicKey, proof, termsDigest }: JoinInput,
): Promise<Person> {
  return orCount(broker, async () => {
    // First, so that guessing costs neither a signature's check nor a transaction.
    mustOpen(broker, invitationId, secret);
    const at = broker.clock();
    const kid = await checkJoinProof(proof, publicKey, broker.issuer, invitationId, at);
    return broker.store.write('joinByInvitation', {
      at,
      entryIds: [mintId('ent', at), mintId('ent', at)],
      invitationId,
      secretDigest: digestOfSecret(secret),
      personId: mintId('per', at),
      key: { kid, x: publicKey.x },
      termsDigest,
    });
  });
}

function mustOpen(broker: Broker, invitationId: string, secret: string): Invitation {
  const invitation = broker.readers.readInvitation(invitationId);
  const inviter = invitation && broker.policy.member(invitation.invitedBy);
  const why = refusalOfLink(invitation, digestOfSecret(secret), inviter, broker.clock());
  if (why) throw new RefusedError(why);
  return invitation as Invitation;
}

async function orCount<T>(broker: Broker, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusedError) broker.unauthenticated.count('join', error.refusal.code);
    throw error;
  }
}
