/** Issuing and lifting orders. */
import type { Order, OrderSpec } from '../core/orders.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import type { Cut } from './live-requests.ts';

export interface IssuedOrder {
  order: Order;
  /** Requests in flight that it cut, and when. */
  cut: Cut[];
  /** Set when the selector matches nothing that exists: recorded and in force all the same. */
  warning: string | undefined;
}

/**
 * Issues an order. When it returns, no request in its scope passes any more and those in flight have been
 * aborted: the store applies the change of policy before it hands out this result.
 */
export async function issueOrder(
  broker: Broker,
  actorId: string,
  spec: OrderSpec,
): Promise<IssuedOrder> {
  const who = by(broker, actorId);
  const order = await broker.store.write('issueOrder', {
    by: who,
    id: mintId('ord', who.at),
    spec,
  });
  return { order, cut: broker.live.cutsBy(order.id), warning: warningFor(broker, spec) };
}

/** Lifts an order. Whoever issued it may not. */
export function liftOrder(
  broker: Broker,
  actorId: string,
  orderId: string,
  grounds: string,
): Promise<Order> {
  return broker.store.write('liftOrder', { by: by(broker, actorId), orderId, grounds });
}

/** An order is never refused for naming what is not there: a typing error must not cost the seconds that count. */
function warningFor(broker: Broker, { selector }: OrderSpec): string | undefined {
  const { policy, endpoints } = broker;
  const nothing = 'The order is in force, but at present nothing here matches its selector';
  if ('grant' in selector && !policy.grant(selector.grant))
    return `${nothing}: there is no grant ${selector.grant}.`;
  if ('lab' in selector && !policy.lab(selector.lab))
    return `${nothing}: there is no lab ${selector.lab}.`;
  if ('person' in selector && !policy.person(selector.person))
    return `${nothing}: there is no person ${selector.person}.`;
  if ('endpoint' in selector && !endpoints.has(selector.endpoint))
    return `${nothing}: there is no endpoint "${selector.endpoint}".`;
  if (
    'model' in selector &&
    ![...endpoints.values()].some((endpoint) => endpoint.models.includes(selector.model))
  ) {
    return `${nothing}: no endpoint offers the model "${selector.model}".`;
  }
  return undefined;
}
