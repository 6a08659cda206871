/** Refusals of known callers that no operation of the store has recorded. */
import type { Action } from '../core/authority.ts';
import type { Refusal } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { actorOf } from '../store/operations/operation.ts';
import type { Broker } from './broker.ts';

/**
 * Records that a person was refused something before it came to an operation: a read, or a request that
 * is not well formed.
 *
 * @param ref what it was about: the id of a request or of a thing
 * @throws RefusedError `log_unavailable`
 */
export async function recordDenial(
  broker: Broker,
  actorId: string,
  action: Action,
  why: Refusal,
  ref?: string,
): Promise<void> {
  const member = broker.policy.member(actorId);
  const at = broker.clock();
  await broker.store.write('recordEntry', {
    entry: {
      id: mintId('ent', at),
      kind: 'action.denied',
      at,
      actor: member ? actorOf(member) : { system: 'broker' },
      ref,
      decision: 'denied',
      reason: why.code,
      orders: why.orders,
      data: { action, message: why.message },
    },
  });
}
