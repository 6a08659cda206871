/** Inviting people: a link for one person, which is shown once. */
import { createHash, randomBytes } from 'node:crypto';
import type { Role } from '../core/people.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { withState, type ShownInvitation } from './show-invitations.ts';

/** Nobody guesses it, so that it needs no slow hash. */
const SECRET_BYTES = 32;

const HOUR_MS = 3_600_000;

export interface InvitationInput {
  lab: string;
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  subject?: string | undefined;
  grant?: string | undefined;
  /** RFC 3339. */
  rosterUntil?: string | undefined;
  expiresInHours: number;
}

/** What a link's secret is known by: SHA-256, hex. */
export function digestOfSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}

/**
 * Invites a person to a lab.
 *
 * @returns the invitation, and the link's secret: it exists nowhere else
 * @throws RefusedError
 */
export async function invitePerson(
  broker: Broker,
  actorId: string,
  input: InvitationInput,
): Promise<ShownInvitation & { secret: string }> {
  const who = by(broker, actorId);
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const { lab, name, roles, attributes, subject, grant, rosterUntil, expiresInHours } = input;
  const invitation = await broker.store.write('invitePerson', {
    by: who,
    invitation: {
      id: mintId('inv', who.at),
      labId: lab,
      name,
      roles,
      attributes,
      subject: subject ?? null,
      grantId: grant ?? null,
      rosterUntil: rosterUntil === undefined ? null : Date.parse(rosterUntil),
      secretDigest: digestOfSecret(secret),
      expiresAt: who.at + expiresInHours * HOUR_MS,
    },
  });
  return { ...withState(broker, invitation), secret };
}

/** Withdraws an invitation: its link opens nothing any more when this returns. @throws RefusedError */
export async function withdrawInvitation(
  broker: Broker,
  actorId: string,
  invitationId: string,
): Promise<ShownInvitation> {
  const who = by(broker, actorId);
  return withState(
    broker,
    await broker.store.write('withdrawInvitation', { by: who, invitationId }),
  );
}
