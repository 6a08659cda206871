/**
 * What orders come to. One function computes the most restrictive combination of everything that is in force, and can say
 * of each part whose it is. Decisions, what is shown, and previews all ask it.
 */
import { refusal, type DenialCode, type Refusal } from '../denials.ts';
import { scopedOrders } from './index-of-orders.ts';
import { LEVEL, isInForce, levelInWords, type Order } from './order.ts';
import {
  hasPurpose,
  partsOf,
  selectorInWords,
  selectsBut,
  usesFeature,
  type OrderSubject,
  type Selector,
} from './selector.ts';

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
  /** Orders that watch or constrain it: its entries name them. */
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
  for (const list of scopedOrders(orders, subject))
    for (const order of list) found = considered(order, subject, found, { now, watchTokenSeconds });
  if (!found) return NO_EFFECT;
  // Ids begin with the time: the oldest first.
  if (found.stops.length > 1) found.stops.sort((a, b) => (a.id < b.id ? -1 : 1));
  return found;
}

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

/** What was found, with what an order adds to it. */
function considered(
  order: Order,
  subject: OrderSubject,
  before: Found | undefined,
  { now, watchTokenSeconds }: { now: number; watchTokenSeconds: number },
): Found | undefined {
  const { level, measures, selector } = order;
  if (level === LEVEL.notice) return before;
  const stops = level >= LEVEL.suspend_narrowly;
  const uses = usesFeature(order, subject);
  const has = hasPurpose(order, subject);
  if (!(uses && has) && !(stops && (uses || has))) return before;
  if (!selectsBut(order, subject) || !isInForce(order, now)) return before;
  const found = before ?? nothingFound();
  if (stops) {
    if (uses && has) found.stops.push(order);
    // What it would stop if it were used: so that scopes that are shown leave it out.
    const { feature, purpose } = partsOf(selector);
    if (feature !== undefined && has) noteOne(found.features, feature, order);
    if (purpose !== undefined && uses) noteOne(found.purposes, purpose, order);
    return found;
  }
  found.noted.push(order);
  note(found.features, measures.features, order);
  note(found.purposes, measures.purposes, order);
  note(found.putBack, measures.putBack, order);
  if (measures.limitsPercent !== undefined)
    found.scales.push({ percent: measures.limitsPercent, order });
  const seconds = measures.tokenSeconds ?? (level === LEVEL.watch ? watchTokenSeconds : Infinity);
  found.tokenSeconds = Math.min(found.tokenSeconds, seconds);
  return found;
}

function note<T>(map: Map<T, Order>, list: readonly T[] | undefined, order: Order): void {
  for (const one of list ?? []) noteOne(map, one, order);
}

function noteOne<T>(map: Map<T, Order>, one: T, order: Order): void {
  if (!map.has(one)) map.set(one, order);
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
