/**
 * Finds the orders that can be about a subject. Each is kept under the most telling part of its selector, so that hundreds of
 * them about single people, tokens, grants, networks or values of an attribute cost nobody else's requests anything.
 */
import { isInNetworks } from '../networks.ts';
import type { Order } from './order.ts';
import { partsOf, type AttributeCondition, type OrderSubject } from './selector.ts';

/** Orders by the part that they are kept under. */
interface OrderIndex {
  byToken: Map<string, Order[]>;
  byRun: Map<string, Order[]>;
  byPerson: Map<string, Order[]>;
  byGrant: Map<string, Order[]>;
  byLab: Map<string, Order[]>;
  byModel: Map<string, Order[]>;
  byEndpoint: Map<string, Order[]>;
  /** By one attribute that they name. */
  byAttribute: OrdersByValue[];
  /** With a network. */
  inNetworks: Order[];
  /** Of those, the ones that hold an address, for addresses that were asked about of late. */
  byAddress: Map<string, Order[]>;
  /** About everything, or selecting by other parts alone. */
  others: Order[];
}

interface OrdersByValue {
  /** Of the attribute. */
  name: string;
  /** An order is in the list of each value that its condition takes. */
  byValue: Map<string, Order[]>;
  /** Those that are about people, too, of whom the attribute is not known. */
  ifUnknown: Order[];
}

/** Addresses remembered. */
const MOST_ADDRESSES = 1_000;

/** Of lists as they are: a change of policy makes another list. */
const indexes = new WeakMap<readonly Order[], OrderIndex>();

/** The orders that can be about a subject, in lists of which each is in the order of the whole. No order is in two. */
export function scopedOrders(
  orders: readonly Order[],
  subject: OrderSubject,
): readonly (readonly Order[])[] {
  const index = indexOf(orders);
  const lists: (readonly Order[])[] = [];
  const add = (list: readonly Order[] | undefined): void => {
    if (list !== undefined && list.length > 0) lists.push(list);
  };
  add(index.others);
  if (subject.tokenId !== undefined) add(index.byToken.get(subject.tokenId));
  if (subject.runId !== undefined) add(index.byRun.get(subject.runId));
  add(index.byGrant.get(subject.grantId));
  add(index.byLab.get(subject.labId));
  if (subject.model !== undefined) add(index.byModel.get(subject.model));
  if (subject.endpoint !== undefined) add(index.byEndpoint.get(subject.endpoint));
  if (subject.address !== undefined && index.inNetworks.length > 0)
    add(ordersAt(index, subject.address));
  if (subject.person !== undefined) {
    const { id, attributes } = subject.person;
    add(index.byPerson.get(id));
    // One list for each attribute, so that no order comes twice.
    for (const { name, byValue, ifUnknown } of index.byAttribute)
      add(Object.hasOwn(attributes, name) ? byValue.get(attributes[name] as string) : ifUnknown);
  }
  return lists;
}

/** To hold an address against hundreds of networks takes longer than everything else of a decision. */
function ordersAt({ inNetworks, byAddress }: OrderIndex, address: string): readonly Order[] {
  const known = byAddress.get(address);
  if (known) return known;
  const list = inNetworks.filter(({ selector }) => {
    const { network } = partsOf(selector);
    return network !== undefined && isInNetworks(address, [network]);
  });
  if (byAddress.size >= MOST_ADDRESSES) byAddress.clear();
  byAddress.set(address, list);
  return list;
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
    byAttribute: [],
    inNetworks: [],
    byAddress: new Map(),
    others: [],
  };
  for (const order of orders) for (const list of listsFor(index, order)) list.push(order);
  indexes.set(orders, index);
  return index;
}

/** The lists that an order belongs into: of each subject, one at most. */
function listsFor(index: OrderIndex, { selector }: Order): Order[][] {
  const { token, run, person, grant, network, attributes, lab, model, endpoint } =
    partsOf(selector);
  if (token !== undefined) return [listAt(index.byToken, token)];
  if (run !== undefined) return [listAt(index.byRun, run)];
  if (person !== undefined) return [listAt(index.byPerson, person)];
  if (grant !== undefined) return [listAt(index.byGrant, grant)];
  if (network !== undefined) return [index.inNetworks];
  if (attributes !== undefined) return attributeListsFor(index, attributes);
  if (lab !== undefined) return [listAt(index.byLab, lab)];
  if (model !== undefined) return [listAt(index.byModel, model)];
  if (endpoint !== undefined) return [listAt(index.byEndpoint, endpoint)];
  return [index.others];
}

/** By the condition that fewest values meet. */
function attributeListsFor(
  { byAttribute }: OrderIndex,
  conditions: readonly AttributeCondition[],
): Order[][] {
  const values = ({ is, unknown }: AttributeCondition): number =>
    is.length + (unknown === 'matches' ? 1 : 0);
  const { name, is, unknown } = conditions.reduce((fewest, one) =>
    values(one) < values(fewest) ? one : fewest,
  );
  let at = byAttribute.find((one) => one.name === name);
  if (!at) byAttribute.push((at = { name, byValue: new Map(), ifUnknown: [] }));
  const { byValue, ifUnknown } = at;
  const lists = [...new Set(is)].map((value) => listAt(byValue, value));
  return unknown === 'matches' ? [...lists, ifUnknown] : lists;
}

function listAt(map: Map<string, Order[]>, key: string): Order[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}
