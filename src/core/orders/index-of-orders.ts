/**
 * Finds the orders that can be about a subject. Each is kept under the most telling part of its selector, so that hundreds of
 * them about single people, tokens, grants, networks or values of an attribute cost nobody else's requests anything.
 */
import { isInNetworks } from '../networks.ts';
import type { Purpose, Switch } from '../vocabulary.ts';
import { LEVEL, type Order } from './order.ts';
import { partsOf, type AttributeCondition, type OrderSubject } from './selector.ts';

/** Orders that name the same feature and the same purpose, or none: it is looked at once whether a subject has those. */
export interface OrderGroup {
  feature: Switch | undefined;
  purpose: Purpose | undefined;
  orders: Order[];
}

/** Orders by the part that they are kept under. */
interface OrderIndex {
  byToken: Map<string, OrderGroup[]>;
  byRun: Map<string, OrderGroup[]>;
  byPerson: Map<string, OrderGroup[]>;
  byGrant: Map<string, OrderGroup[]>;
  byLab: Map<string, OrderGroup[]>;
  byModel: Map<string, OrderGroup[]>;
  byEndpoint: Map<string, OrderGroup[]>;
  /** By one attribute that they name. */
  byAttribute: OrdersByValue[];
  /** With a network. */
  inNetworks: Order[];
  /** Of those, the ones that hold an address, for addresses that were asked about of late. */
  byAddress: Map<string, OrderGroup[]>;
  /** About everything, or selecting by other parts alone. */
  others: OrderGroup[];
}

interface OrdersByValue {
  /** Of the attribute. */
  name: string;
  /** An order is in the list of each value that its condition takes. */
  byValue: Map<string, OrderGroup[]>;
  /** Those that are about people, too, of whom the attribute is not known. */
  ifUnknown: OrderGroup[];
}

/** Addresses remembered. */
const MOST_ADDRESSES = 1_000;

/** Of lists as they are: a change of policy makes another list. */
const indexes = new WeakMap<readonly Order[], OrderIndex>();

/** The orders that can be about a subject, in groups of which each is in the order of the whole. No order is in two. */
export function scopedOrders(
  orders: readonly Order[],
  subject: OrderSubject,
): readonly (readonly OrderGroup[])[] {
  const index = indexOf(orders);
  const lists: (readonly OrderGroup[])[] = [];
  const add = (list: readonly OrderGroup[] | undefined): void => {
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
function ordersAt({ inNetworks, byAddress }: OrderIndex, address: string): readonly OrderGroup[] {
  const known = byAddress.get(address);
  if (known) return known;
  const groups: OrderGroup[] = [];
  for (const order of inNetworks) {
    const { network } = partsOf(order.selector);
    if (network !== undefined && isInNetworks(address, [network])) put(groups, order);
  }
  if (byAddress.size >= MOST_ADDRESSES) byAddress.clear();
  byAddress.set(address, groups);
  return groups;
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
  for (const order of orders) if (order.level !== LEVEL.notice) keep(index, order);
  indexes.set(orders, index);
  return index;
}

function keep(index: OrderIndex, order: Order): void {
  if (partsOf(order.selector).network !== undefined && !isNarrower(order))
    index.inNetworks.push(order);
  else for (const groups of listsFor(index, order)) put(groups, order);
}

const isNarrower = ({ selector }: Order): boolean => {
  const { token, run, person, grant } = partsOf(selector);
  return [token, run, person, grant].some((part) => part !== undefined);
};

/** The lists that an order belongs into: of each subject, one at most. */
function listsFor(index: OrderIndex, { selector }: Order): OrderGroup[][] {
  const { token, run, person, grant, attributes, lab, model, endpoint } = partsOf(selector);
  if (token !== undefined) return [listAt(index.byToken, token)];
  if (run !== undefined) return [listAt(index.byRun, run)];
  if (person !== undefined) return [listAt(index.byPerson, person)];
  if (grant !== undefined) return [listAt(index.byGrant, grant)];
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
): OrderGroup[][] {
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

function listAt(map: Map<string, OrderGroup[]>, key: string): OrderGroup[] {
  const list = map.get(key) ?? [];
  map.set(key, list);
  return list;
}

function put(groups: OrderGroup[], order: Order): void {
  const { feature, purpose } = partsOf(order.selector);
  const group = groups.find((one) => one.feature === feature && one.purpose === purpose);
  if (group) group.orders.push(order);
  else groups.push({ feature, purpose, orders: [order] });
}
