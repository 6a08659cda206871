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
import { factsOf } from './show-invitations.ts';

/** What an invitation says to whoever holds its link. */
export interface Offer {
  invitation: Invitation;
  lab: Lab;
  host: Lab;
  inviter: Person;
  grant: Grant | undefined;
}

/**
 * What an invitation offers to whoever holds its link.
 *
 * @param address the caller's
 * @throws RefusedError
 */
export function previewInvitation(
  broker: Broker,
  address: string,
  invitationId: string,
  secret: string,
): Promise<Offer> {
  return orHold(broker, address, invitationId, () => {
    const invitation = mustOpen(broker, invitationId, secret);
    const { policy, readers } = broker;
    const { inviter, grant } = factsOf(broker, invitation);
    const lab = policy.lab(invitation.labId);
    const host = policy.lab(readers.hostLabId() ?? '');
    if (!inviter || !lab || !host)
      throw new Error(`What invitation ${invitation.id} refers to is missing from the policy.`);
    return Promise.resolve({ invitation, lab, host, inviter: inviter.person, grant });
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
 * @param address the caller's
 * @throws RefusedError
 */
export function joinByInvitation(
  broker: Broker,
  address: string,
  invitationId: string,
  { secret, publicKey, proof, termsDigest }: JoinInput,
): Promise<Person> {
  return orHold(broker, address, invitationId, async () => {
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
  const facts = invitation && factsOf(broker, invitation);
  const why = refusalOfLink(facts, digestOfSecret(secret), broker.clock());
  if (why) throw new RefusedError(why);
  return invitation as Invitation;
}

/** Counts what is refused; and what may be a guess is answered the later, the more there were of it. */
async function orHold<T>(
  broker: Broker,
  address: string,
  invitationId: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    broker.brake.admit(address);
    return await work();
  } catch (error) {
    if (error instanceof RefusedError) {
      const { code } = error.refusal;
      broker.unauthenticated.count('join', code);
      if (code === 'invitation_not_valid') await broker.brake.hold(address, invitationId);
    }
    throw error;
  }
}
