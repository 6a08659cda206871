import type { Action, Reach } from '../core/authority.ts';
import { reachOf } from '../core/authority.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import type { Member } from '../core/people.ts';
import type { Broker } from './broker.ts';

/** Who reads, and how far: `labId` and `personId` bound a query to what they may see. */
export interface ReadingMember {
  member: Member;
  reach: Reach;
  bounds: { labId?: string; personId?: string };
}

/** Decides whether a person may read this kind of thing, and how far. @throws RefusedError */
export function mayRead(broker: Broker, actorId: string, action: Action): ReadingMember {
  const member = broker.policy.member(actorId) ?? refuse('invalid_token');
  const reach = reachOf(member, action);
  if (typeof reach !== 'string') throw new RefusedError(reach);
  const bounds =
    reach === 'all'
      ? {}
      : reach === 'lab'
        ? { labId: member.lab.id }
        : { personId: member.person.id };
  return { member, reach, bounds };
}
