/**
 * Finds the orders that can be about a subject. Each is kept under the most telling part of its selector, so that hundreds of
 * them about single people, tokens or grants cost nobody else's requests anything.
 */
import type { Order } from './order.ts';
import { partsOf, type OrderSubject } from './selector.ts';

/** Orders by the part that they are kept under. */
interface OrderIndex {
  byToken: Map<string, Order[]>;
  byRun: Map<string, Order[]>;
  byPerson: Map<string, Order[]>;
  byGrant: Map<string, Order[]>;
  byLab: Map<string, Order[]>;
  byModel: Map<string, Order[]>;
  byEndpoint: Map<string, Order[]>;
  /** About everything, or selecting by other parts alone. */
  others: Order[];
}

/** Of lists as they are: a change of policy makes another list. */
const indexes = new WeakMap<readonly Order[], OrderIndex>();

/** The orders that can be about a subject, in lists of which each is in the order of the whole. No order is in two. */
export function scopedOrders(
  orders: readonly Order[],
  subject: OrderSubject,
): (readonly Order[] | undefined)[] {
  const index = indexOf(orders);
  return [
    index.others,
    index.byToken.get(subject.tokenId ?? ''),
    index.byRun.get(subject.runId ?? ''),
    index.byPerson.get(subject.person?.id ?? ''),
    index.byGrant.get(subject.grantId),
    index.byLab.get(subject.labId),
    index.byModel.get(subject.model ?? ''),
    index.byEndpoint.get(subject.endpoint ?? ''),
  ];
}

function indexOf(orders: readonly Order[]): OrderIndex {
  const known = indexes.get(orders);
  if (known) return known;
  const index: OrderIndex = {
    byToken: new Map(),
    byRun: new Map(),
    byPerson: new Map(),
    byGrant: new Map(),
    byLab: new Map(),
    byModel: new Map(),
    byEndpoint: new Map(),
    others: [],
  };
  for (const order of orders) listFor(index, order).push(order);
  indexes.set(orders, index);
  return index;
}

/** The list that an order belongs into. */
function listFor(index: OrderIndex, { selector }: Order): Order[] {
  const { token, run, person, grant, lab, model, endpoint } = partsOf(selector);
  if (token !== undefined) return listAt(index.byToken, token);
  if (run !== undefined) return listAt(index.byRun, run);
  if (person !== undefined) return listAt(index.byPerson, person);
  if (grant !== undefined) return listAt(index.byGrant, grant);
  if (lab !== undefined) return listAt(index.byLab, lab);
  if (model !== undefined) return listAt(index.byModel, model);
  if (endpoint !== undefined) return listAt(index.byEndpoint, endpoint);
  return index.others;
}

function listAt(map: Map<string, Order[]>, key: string): Order[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
