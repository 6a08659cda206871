/** Whether somebody may act on an order at all, before it is looked at. */
import { reachOf, type Action } from '../core/authority.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import type { Order } from '../core/orders/order.ts';
import type { Broker } from './broker.ts';
import { recordDenial } from './deny-action.ts';
import { mustSeeOrder } from './show-orders.ts';

/** @throws RefusedError after the refusal was recorded */
export async function mustHaveReach(
  broker: Broker,
  actorId: string,
  action: Action,
  ref?: string,
): Promise<void> {
  const member = broker.policy.member(actorId) ?? refuse('invalid_token');
  const reach = reachOf(member, action);
  if (typeof reach === 'string') return;
  await recordDenial(broker, actorId, action, reach, ref);
  throw new RefusedError(reach);
}

/** The order, for whoever may see it and act on it. @throws RefusedError */
export async function orderToActOn(
  broker: Broker,
  actorId: string,
  action: Action,
  orderId: string,
): Promise<Order> {
  await mustHaveReach(broker, actorId, action, orderId);
  return mustSeeOrder(broker, actorId, orderId);
}
