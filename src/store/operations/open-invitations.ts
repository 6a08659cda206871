/** The invitations that are open, and taking them along with what they rest on. */
import { and, eq, gt, isNull, type SQL } from 'drizzle-orm';
import type { EntryActor } from '../../core/audit/entry.ts';
import { refusalOfEndedGrant } from '../../core/access.ts';
import type { Grant } from '../../core/grants.ts';
import {
  invitationStanding,
  type Invitation,
  type InvitationFacts,
  type WithdrawnBecause,
} from '../../core/invitations.ts';
import { mintId } from '../../lib/ids.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readMember } from '../records.ts';
import { invitations } from '../schema.ts';

/**
 * Reads what invitations rest on, as the rows stand in this transaction: each sender and grant once, since
 * many invitations share them.
 */
export function factsReader({ db }: WriterContext): (invitation: Invitation) => InvitationFacts {
  const inviterOf = once((id) => readMember(db, id));
  const grantOf = once((id) => readGrant(db, id));
  return (invitation) => {
    const { invitedBy, grantId } = invitation;
    const grant = grantId === null ? undefined : grantOf(grantId);
    return { invitation, inviter: inviterOf(invitedBy), grant };
  };
}

function once<T>(read: (id: string) => T): (id: string) => T {
  const known = new Map<string, T>();
  return (id) => {
    if (!known.has(id)) known.set(id, read(id));
    return known.get(id) as T;
  };
}

/** The invitations of a selection that can be used at a moment. */
export function openInvitations(
  context: WriterContext,
  which: SQL | undefined,
  at: number,
): Invitation[] {
  const factsOf = factsReader(context);
  return context.db
    .select()
    .from(invitations)
    .where(and(which, notUsedUp(at)))
    .all()
    .filter((invitation) => invitationStanding(factsOf(invitation), at).state === 'open');
}

/** Who did what took invitations along, and when. */
interface Cause {
  at: number;
  actor: EntryActor;
  because: WithdrawnBecause;
}

/** Withdraws what somebody sent: they do not stand for it any more. */
export function withdrawSentBy(context: WriterContext, personId: string, cause: Cause): void {
  withdraw(context, eq(invitations.invitedBy, personId), cause);
}

/** Withdraws the invitations onto a grant, if that is over. */
export function withdrawOntoEnded(
  context: WriterContext,
  grant: Grant,
  cause: Omit<Cause, 'because'>,
): void {
  const over = refusalOfEndedGrant(grant, cause.at);
  if (!over) return;
  const because = over.code as WithdrawnBecause;
  withdraw(context, eq(invitations.grantId, grant.id), { ...cause, because });
}

function withdraw(context: WriterContext, which: SQL, { at, actor, because }: Cause): void {
  const withdrawn = context.db
    .update(invitations)
    .set({ endedAt: at, withdrawnBecause: because })
    .where(and(which, notUsedUp(at)))
    .returning()
    .all();
  for (const invitation of withdrawn) {
    context.append({
      // How many there are is known here alone.
      id: mintId('ent', at),
      kind: 'person.invitation_withdrawn',
      at,
      actor,
      ref: invitation.id,
      lab: invitation.labId,
      grant: invitation.grantId ?? undefined,
      reason: because,
      data: { name: invitation.name },
    });
  }
}

const notUsedUp = (at: number): SQL | undefined =>
  and(isNull(invitations.endedAt), gt(invitations.expiresAt, at));
