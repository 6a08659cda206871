/** Reading orders. A partner's people see those that touch their lab, and not what these rest on. */
import { refuse } from '../core/denials.ts';
import type { Dispute } from '../core/orders/disputes.ts';
import type { Order } from '../core/orders/order.ts';
import { partsOf } from '../core/orders/selector.ts';
import { ruleOf, whoMay } from '../core/orders/steps.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { touchesLab } from './concerned.ts';
import { mayRead } from './reach.ts';

/** Orders, newest first. */
export function listOrders(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { inForce?: boolean | undefined },
): Order[] {
  const { reach, member } = mayRead(broker, actorId, 'order.read');
  if (reach === 'all') return broker.readers.listOrders(page, filter);
  const found: Order[] = [];
  let { after } = page;
  // Whom an order touches is not a column: read on until the page is full.
  while (found.length < page.limit) {
    const batch = broker.readers.listOrders({ after, limit: BATCH }, filter);
    found.push(...batch.filter((order) => concernsLab(broker, order, member.lab.id)));
    after = batch.at(-1)?.id;
    if (batch.length < BATCH) break;
  }
  return found.slice(0, page.limit).map(withoutEvidence);
}

const BATCH = 200;

/** Whoever was told of an order goes on seeing it, whatever has changed about them since. */
const concernsLab = (broker: Broker, order: Order, labId: string): boolean =>
  touchesLab(broker, order, labId) ||
  broker.readers.labsTold(order.id).some((told) => told.labId === labId);

/** Objections, a partner's people those of their own lab: what is due first comes first. */
export function listDisputes(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { isOpen: boolean },
): Dispute[] {
  const { reach, member } = mayRead(broker, actorId, 'order.read');
  const bounds = reach === 'all' ? {} : { labId: member.lab.id };
  return broker.readers.listDisputes(page, { ...filter, ...bounds });
}

/** The order as it stands. @throws RefusedError `not_found` */
export function mustSeeOrder(broker: Broker, actorId: string, orderId: string): Order {
  const { reach, member } = mayRead(broker, actorId, 'order.read');
  const order = broker.readers.readOrder(orderId) ?? refuse('not_found');
  if (reach === 'all') return order;
  return concernsLab(broker, order, member.lab.id) ? withoutEvidence(order) : refuse('not_found');
}

/** Who may do what with an order. */
export const whoMayActOn = (
  { policy, rules }: Pick<Broker, 'policy' | 'rules'>,
  order: Order,
): ReturnType<typeof whoMay> => {
  const { grant } = partsOf(order.selector);
  return whoMay(order, rules, ruleOf(rules, order, policy.grant(grant ?? '')?.spec));
};

/** An order with what came of it. */
export interface ShownOrder {
  order: Order;
  disputes: Dispute[];
  acknowledgements: { personId: string; labId: string; at: number; underObjection: boolean }[];
}

/** The order, who took notice of it, and the objections; a partner's people see those of their own lab. */
export function showOrderWhole(
  broker: Broker,
  actorId: string,
  orderId: string,
): ShownOrder & ReturnType<typeof whoMay> {
  const order = mustSeeOrder(broker, actorId, orderId);
  const { reach, member } = mayRead(broker, actorId, 'order.read');
  const isTheirs = ({ labId }: { labId: string }): boolean =>
    reach === 'all' || labId === member.lab.id;
  return {
    order,
    ...whoMayActOn(broker, order),
    disputes: broker.readers.disputesAbout(orderId).filter(isTheirs),
    acknowledgements: broker.readers.listAcknowledgements(orderId).filter(isTheirs),
  };
}

function withoutEvidence(order: Order): Order {
  const { evidence: _, ...shown } = order;
  return shown;
}
