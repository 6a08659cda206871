/** Reading invitations, within the reader's reach; and what a link opens, for whoever holds it. */
import { isWithin } from '../core/authority.ts';
import { refuse } from '../core/denials.ts';
import {
  invitationStanding,
  type Invitation,
  type InvitationFacts,
  type InvitationState,
} from '../core/invitations.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { mayRead, within } from './reach.ts';

export interface ShownInvitation {
  invitation: Invitation;
  state: InvitationState;
}

/** An invitation with what it rests on, as the policy has it. */
export function factsOf({ policy }: Broker, invitation: Invitation): InvitationFacts {
  const { invitedBy, grantId } = invitation;
  return {
    invitation,
    inviter: policy.member(invitedBy),
    grant: grantId === null ? undefined : policy.grant(grantId),
  };
}

/** The invitation with its state at this moment. */
export function withState(broker: Broker, invitation: Invitation): ShownInvitation {
  const { state } = invitationStanding(factsOf(broker, invitation), broker.clock());
  return { invitation, state };
}

/** Invitations, newest first. */
export function listInvitations(
  broker: Broker,
  actorId: string,
  { after, limit }: PageRequest,
  {
    open,
    ...filter
  }: { labId?: string | undefined; /** Only those that can be used. */ open?: boolean },
): ShownInvitation[] {
  const { bounds } = mayRead(broker, actorId, 'person.read');
  const bounded = within(bounds, filter);
  if (!bounded) return [];
  const openAt = open ? broker.clock() : undefined;
  const found: ShownInvitation[] = [];
  // What an invitation rests on is not in its row, so that a part of the list may have to be filled up.
  for (let last = after; ;) {
    const rows = broker.readers.listInvitations({ after: last, limit }, { ...bounded, openAt });
    const shown = rows.map((invitation) => withState(broker, invitation));
    found.push(...shown.filter(({ state }) => !open || state === 'open'));
    last = rows.at(-1)?.id;
    if (rows.length < limit || found.length >= limit) return found.slice(0, limit);
  }
}

/** @throws RefusedError `not_found` */
export function showInvitation(
  broker: Broker,
  actorId: string,
  invitationId: string,
): ShownInvitation {
  const { member, reach } = mayRead(broker, actorId, 'person.read');
  const invitation = broker.readers.readInvitation(invitationId);
  if (!invitation || !isWithin(reach, member, { labId: invitation.labId }))
    return refuse('not_found');
  return withState(broker, invitation);
}
