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

interface Bounds {
  labId?: string | undefined;
  personId?: string | undefined;
}

/**
 * What a reader asks for, cut down to what they may see. Undefined when the two have nothing in common:
 * whoever asks for another lab's things gets none, not their own.
 */
export function within<F extends Bounds>(bounds: Bounds, asked: F): (F & Bounds) | undefined {
  for (const part of ['labId', 'personId'] as const) {
    const [bound, wanted] = [bounds[part], asked[part]];
    if (bound !== undefined && wanted !== undefined && bound !== wanted) return undefined;
  }
  return { ...asked, ...bounds };
}
