/**
 * Finds the orders that can be about a subject. Each is kept under the most telling part of its selector, so that hundreds of
 * them about single people, tokens or grants cost nobody else's requests anything.
 */
import type { Order } from './order.ts';
import { partsOf, type OrderSubject } from './selector.ts';

/** Orders by their place in the list that they are of. */
interface OrderIndex {
  byToken: Map<string, number[]>;
  byRun: Map<string, number[]>;
  byPerson: Map<string, number[]>;
  byGrant: Map<string, number[]>;
  byLab: Map<string, number[]>;
  byModel: Map<string, number[]>;
  byEndpoint: Map<string, number[]>;
  /** About everything, or selecting by other parts alone. */
  others: number[];
}

/** Of lists as they are: a change of policy makes another list. */
const indexes = new WeakMap<readonly Order[], OrderIndex>();

/** The orders that can be about a subject, in the order of the list. */
export function scopedOrders(orders: readonly Order[], subject: OrderSubject): readonly Order[] {
  const index = indexOf(orders);
  const found = [
    index.byToken.get(subject.tokenId ?? ''),
    index.byRun.get(subject.runId ?? ''),
    index.byPerson.get(subject.person?.id ?? ''),
    index.byGrant.get(subject.grantId),
    index.byLab.get(subject.labId),
    index.byModel.get(subject.model ?? ''),
    index.byEndpoint.get(subject.endpoint ?? ''),
    index.others,
  ].filter((places) => places !== undefined && places.length > 0) as number[][];
  const [first] = found;
  if (!first) return [];
  // Each list is ascending, and no order is in two.
  const places = found.length === 1 ? first : found.flat().sort((a, b) => a - b);
  return places.map((place) => orders[place] as Order);
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
  orders.forEach((order, place) => placesFor(index, order).push(place));
  indexes.set(orders, index);
  return index;
}

/** The list that an order belongs into. */
function placesFor(index: OrderIndex, { selector }: Order): number[] {
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

function listAt(map: Map<string, number[]>, key: string): number[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
