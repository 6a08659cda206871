/**
 * What orders come to. One function computes the most restrictive combination of everything that is in force, and can say
 * of each part whose it is. Decisions, what is shown, and previews all ask it.
 */
import { refusal, type DenialCode, type Refusal } from '../denials.ts';
import { scopedOrders, type OrderGroup } from './index-of-orders.ts';
import { LEVEL, isInForce, levelInWords, type Order } from './order.ts';
import { selectorInWords, selectsBut, type OrderSubject, type Selector } from './selector.ts';

/** What is in force for one subject. */
export interface Effect {
  /** Orders that stop it, the oldest first. */
  stops: Order[];
  /** Features that may not be used, each with the order that says so. */
  features: ReadonlyMap<string, Order>;
  purposes: ReadonlyMap<string, Order>;
  /** Safeguards that must not be lifted. */
  putBack: ReadonlyMap<string, Order>;
  /** What limits are scaled to, each by an order: the least of them holds for what it is about. */
  scales: { percent: number; order: Order }[];
  /** Longest life of a new token, seconds; Infinity: as the grant says. */
  tokenSeconds: number;
  /** Orders that watch or constrain it, the oldest first: its entries name them. */
  noted: Order[];
}

/** Where no order is in force. */
export const NO_EFFECT: Effect = {
  stops: [],
  features: new Map(),
  purposes: new Map(),
  putBack: new Map(),
  scales: [],
  tokenSeconds: Infinity,
  noted: [],
};

/**
 * The most restrictive combination of the orders in force, for one subject.
 *
 * @param orders as the policy holds them: what is over by now is passed over
 * @param watchTokenSeconds longest life of a token under a watch that says nothing else; left out by those who do not ask
 * @param now epoch milliseconds
 */
export function effectOf(
  orders: readonly Order[],
  subject: OrderSubject,
  now: number,
  watchTokenSeconds = Infinity,
): Effect {
  if (orders.length === 0) return NO_EFFECT;
  // Most orders are about somebody else: what nothing applies to costs nothing.
  let found: Found | undefined;
  const asked = { subject, now, watchTokenSeconds };
  for (const groups of scopedOrders(orders, subject))
    for (const group of groups) found = considered(group, asked, found);
  if (!found) return NO_EFFECT;
  // Ids begin with the time: the oldest first.
  for (const list of [found.stops, found.noted]) if (list.length > 1) list.sort(byAge);
  return found;
}

const byAge = (one: Order, other: Order): number => (one.id < other.id ? -1 : 1);

/** An effect in the making. */
interface Found extends Effect {
  features: Map<string, Order>;
  purposes: Map<string, Order>;
  putBack: Map<string, Order>;
}

const nothingFound = (): Found => ({
  stops: [],
  features: new Map(),
  purposes: new Map(),
  putBack: new Map(),
  scales: [],
  tokenSeconds: Infinity,
  noted: [],
});

interface Asked {
  subject: OrderSubject;
  now: number;
  watchTokenSeconds: number;
}

/** What was found, with what a group of orders adds to it. */
function considered(group: OrderGroup, asked: Asked, before: Found | undefined): Found | undefined {
  const { feature, purpose, orders } = group;
  const { features, purpose: given } = asked.subject;
  const uses = feature === undefined || features?.includes(feature) === true;
  const has = purpose === undefined || purpose === given;
  if (!uses && !has) return before;
  let found = before;
  if (uses && has) {
    for (const order of orders)
      found = isStop(order) ? stopped(order, asked, found) : constrained(order, asked, found);
  }
  // What they would stop if it were used: so that scopes that are shown leave it out. One order for each is enough.
  if (has && feature !== undefined && !found?.features.has(feature)) {
    const order = orders.find((one) => isStop(one) && appliesTo(one, asked));
    if (order) (found ??= nothingFound()).features.set(feature, order);
  }
  if (uses && purpose !== undefined && !found?.purposes.has(purpose)) {
    const order = orders.find((one) => isStop(one) && appliesTo(one, asked));
    if (order) (found ??= nothingFound()).purposes.set(purpose, order);
  }
  return found;
}

const isStop = ({ level }: Order): boolean => level >= LEVEL.suspend_narrowly;

const appliesTo = (order: Order, { subject, now }: Asked): boolean =>
  selectsBut(order, subject) && isInForce(order, now);

function stopped(order: Order, asked: Asked, before: Found | undefined): Found | undefined {
  if (!appliesTo(order, asked)) return before;
  const found = before ?? nothingFound();
  found.stops.push(order);
  return found;
}

function constrained(order: Order, asked: Asked, before: Found | undefined): Found | undefined {
  if (!appliesTo(order, asked)) return before;
  const { level, measures } = order;
  const found = before ?? nothingFound();
  found.noted.push(order);
  note(found.features, measures.features, order);
  note(found.purposes, measures.purposes, order);
  note(found.putBack, measures.putBack, order);
  if (measures.limitsPercent !== undefined)
    found.scales.push({ percent: measures.limitsPercent, order });
  const seconds =
    measures.tokenSeconds ?? (level === LEVEL.watch ? asked.watchTokenSeconds : Infinity);
  found.tokenSeconds = Math.min(found.tokenSeconds, seconds);
  return found;
}

function note<T>(map: Map<T, Order>, list: readonly T[] | undefined, order: Order): void {
  for (const one of list ?? []) if (!map.has(one)) map.set(one, order);
}

/** Codes by the narrowest part that an order names, narrowest first. */
const CODES: [keyof Exclude<Selector, { all: true }>, DenialCode][] = [
  ['token', 'token_suspended'],
  ['run', 'run_suspended'],
  ['person', 'person_suspended'],
  ['attributes', 'person_suspended'],
  ['network', 'network_suspended'],
  ['feature', 'feature_suspended'],
  ['purpose', 'purpose_suspended'],
  ['model', 'model_suspended'],
  ['safeguard', 'endpoint_suspended'],
  ['endpoint', 'endpoint_suspended'],
  ['grant', 'grant_suspended'],
  ['lab', 'lab_suspended'],
];

function codeOf({ selector }: Order): DenialCode {
  if ('all' in selector) return 'access_suspended';
  return CODES.find(([part]) => selector[part] !== undefined)?.[1] ?? 'access_suspended';
}

/** Refuses, and explains: by which orders, of which level, about what. */
function refusedBy(code: DenialCode, orders: readonly Order[], param?: string): Refusal {
  const what = refusal(code).message.replace(/\.$/, '');
  const [first] = orders as [Order, ...Order[]];
  const others =
    orders.length > 1
      ? `; also ${orders
          .slice(1)
          .map(({ id }) => id)
          .join(', ')}`
      : '';
  const why = `${first.id}; ${levelInWords(first.level)}; ${selectorInWords(first.selector)}${others}`;
  return refusal(code, `${what} (${why}). Ask the host lab.`, {
    orders: orders.map(({ id }) => id),
    ...(param === undefined ? {} : { param }),
  });
}

/** The refusal that orders in force cause for a subject, naming every order that applies; null if none does. */
export function refusalByEffect(effect: Effect, subject: OrderSubject): Refusal | null {
  const [first] = effect.stops;
  if (first) return refusedBy(codeOf(first), effect.stops);
  const paused = subject.purpose === undefined ? undefined : effect.purposes.get(subject.purpose);
  if (paused) return refusedBy('purpose_suspended', [paused]);
  for (const feature of subject.features ?? []) {
    const order = effect.features.get(feature);
    if (order) return refusedBy('feature_suspended', [order], feature);
  }
  return null;
}

/** {@link refusalByEffect} of what is in force for the subject. */
export function refusalByOrders(
  orders: readonly Order[],
  subject: OrderSubject,
  now: number,
): Refusal | null {
  if (orders.length === 0) return null;
  return refusalByEffect(effectOf(orders, subject, now), subject);
}

/** Refuses what was dispatched, or would be, with a safeguard lifted that has been put back. */
export function refusalOfLifted({ putBack }: Effect, restored: readonly string[]): Refusal | null {
  for (const [safeguard, order] of putBack)
    if (!restored.includes(safeguard)) return refusedBy('safeguard_put_back', [order], safeguard);
  return null;
}
