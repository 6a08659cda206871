/** Who may issue an order and what may be done with it. Tightening is fast and by one; loosening takes another person. */
import { holds, type Authority, type AuthorityRules, type LevelRule } from '../authority-rules.ts';
import { after } from '../durations.ts';
import { refusal, type Refusal } from '../denials.ts';
import type { GrantSpec } from '../grants.ts';
import type { Member, Person } from '../people.ts';
import {
  LEVEL,
  isInForce,
  levelInWords,
  levelName,
  orderSpecSchema,
  type IssuedAs,
  type Measures,
  type Order,
  type OrderSpec,
} from './order.ts';
import { isWithinSelector, partsOf } from './selector.ts';

/** The rule of a level: as configured, or as the grant that an order names says. */
export function ruleOf(
  rules: AuthorityRules,
  { level }: Pick<OrderSpec, 'level'>,
  grant: Pick<GrantSpec, 'orderRules'> | undefined,
): LevelRule {
  const name = levelName(level);
  const said = Object.entries(grant?.orderRules[name] ?? {}).filter(([, v]) => v !== undefined);
  return { ...rules.orders.levels[name], ...Object.fromEntries(said) };
}

/** Somebody who acts on an order, and what they act under. */
export interface Acting {
  actor: Member;
  rules: AuthorityRules;
  rule: LevelRule;
}

/** Whose order is about nobody but people of the partner who issues it. */
interface PartnersOwn {
  /** The person whom the selector names, if any. */
  person: Person | undefined;
}

/** Decides whether a person may issue an order. Nothing is prevented for want of evidence: see missingOf. */
export function decideOrder(
  spec: OrderSpec,
  { actor, rules, rule }: Acting,
  { person }: PartnersOwn,
): Refusal | null {
  const isLegal = spec.authority.kind === 'legal';
  const may: readonly Authority[] = isLegal
    ? rules.orders.legal.issue
    : rule.anyOrder
      ? [...rule.issue, ...rule.ratify]
      : rule.issue;
  if (!holds(actor, may)) {
    const what = isLegal
      ? 'The order of an authority is recorded'
      : `An order of ${levelInWords(spec.level)}, is issued`;
    return refusal('role_required', `${what} by: ${may.join(', ') || 'nobody'}.`);
  }
  if (actor.lab.kind !== 'partner' || spec.level === LEVEL.notice) return null;
  const { lab } = partsOf(spec.selector);
  if (lab === actor.lab.id || (person !== undefined && person.labId === actor.lab.id)) return null;
  return refusal(
    'role_required',
    `People of a partner lab issue orders about their own people alone: name one of them, or add "lab": "${actor.lab.id}" to the selector.`,
    { param: 'selector' },
  );
}

/** So many notices of one person of a partner can be in force at a time. */
const MOST_NOTICES = 20;

/**
 * Decides whether somebody may give one notice more. Anybody of a partner may give them, and they never lapse: without a bound,
 * one person could bury those of everybody else.
 *
 * @param inForce how many of theirs are in force
 */
export function decideNotice(
  spec: OrderSpec,
  { lab }: Member,
  inForce: () => number,
): Refusal | null {
  if (spec.level !== LEVEL.notice || lab.kind === 'host' || inForce() < MOST_NOTICES) return null;
  return refusal(
    'too_many_notices',
    `Of yours, ${MOST_NOTICES} notices are in force. Give them an end ("expiresAt"), or wait until one is lifted.`,
  );
}

/** Times of an order that begins, or that begins to stand. */
export interface Times {
  lapsesAt: number | null;
  reviewDueAt: number | null;
  lapsesUnreviewed: boolean;
}

/**
 * When an order lapses and is reviewed.
 *
 * @param ratified whether everybody has acted who must
 * @param now epoch milliseconds
 */
export function timesOf(spec: OrderSpec, rule: LevelRule, ratified: boolean, now: number): Times {
  const isLegal = spec.authority.kind === 'legal';
  const wanted = spec.reviewAt === undefined ? Infinity : Date.parse(spec.reviewAt);
  // Nobody reviews an order before it stands: a date that went by until then would end a recall at that very moment.
  const asked = ratified && wanted <= now ? Infinity : wanted;
  const due = rule.review === null ? Infinity : after(now, rule.review);
  const lapse = ratified || isLegal ? null : rule.lapse;
  const review = lapse === null ? Math.min(asked, due) : asked;
  return {
    lapsesAt: lapse === null ? null : after(now, lapse),
    reviewDueAt: review === Infinity ? null : review,
    lapsesUnreviewed: rule.lapsesUnreviewed && ratified && !isLegal,
  };
}

function refusalOfOver(order: Order, now: number): Refusal | null {
  if (isInForce(order, now)) return null;
  const because = order.endedBecause ?? 'lapsed';
  return refusal('order_not_in_force', `The order is over: ${because.replaceAll('_', ' ')}.`);
}

/** Nobody ratifies, lifts or lowers what they issued themselves. */
function refusalOfOwn(order: Order, actor: Member, what: string): Refusal | null {
  if (order.issuedBy !== actor.person.id) return null;
  return refusal(
    'second_person_needed',
    `Whoever issued an order may not ${what} it. Another person must.`,
  );
}

/** The host's orders are the host's; a partner acts on its own. */
function refusalOfTheirs(order: Order, actor: Member): Refusal | null {
  if (actor.lab.kind !== 'partner' || order.issuedByLab === actor.lab.id) return null;
  return refusal(
    'role_required',
    'The order is the host lab\'s. Object to it: "sallyport order object".',
  );
}

/** Which part of two somebody has who issues an order. */
export const partOf = ({ actor, rule }: Acting): IssuedAs =>
  rule.anyOrder && !holds(actor, rule.issue) ? 'ratifier' : 'issuer';

/** Who makes an order stand: of executive and auditor, each fills the part that the other did not. */
const ratifiersOf = ({ issuedAs }: Order, rule: LevelRule): readonly Authority[] =>
  rule.anyOrder && issuedAs === 'ratifier' ? rule.issue : rule.ratify;

/** Who may make an order stand, and who may end it: whoever has one of these, and did not issue it. */
export const whoMay = (
  order: Order,
  rules: AuthorityRules,
  rule: LevelRule,
): { ratifiers: readonly Authority[]; lifters: readonly Authority[] } => ({
  ratifiers: order.lapsesAt === null ? [] : ratifiersOf(order, rule),
  lifters: liftersOf(order, rules, rule),
});

const liftersOf = (order: Order, rules: AuthorityRules, rule: LevelRule): readonly Authority[] =>
  order.authority.kind === 'legal' ? rules.orders.legal.lift : rule.lift;

/**
 * The times of an order that takes the place of a greater one. Whoever lowers what nobody has ratified is the second person
 * where they could have ratified the lesser order. Where they could not, it lapses when the first would have.
 *
 * @param spec of the lesser order
 * @param acting who lowers, under the rule of the lesser order
 * @param now epoch milliseconds
 */
export function timesOfLowered(
  order: Order,
  spec: OrderSpec,
  { actor, rule }: Acting,
  now: number,
): Times {
  const stands =
    order.lapsesAt === null || rule.lapse === null || holds(actor, ratifiersOf(order, rule));
  const times = timesOf(spec, rule, stands, now);
  if (stands) return times;
  return { ...times, lapsesAt: Math.min(order.lapsesAt ?? Infinity, times.lapsesAt ?? Infinity) };
}

/**
 * Decides whether a person may make an order stand. What was issued by somebody who could then stays issued if they are
 * removed: else whoever removes them could end it alone.
 */
export function decideRatification(
  order: Order,
  { actor, rule }: Acting,
  now: number,
): Refusal | null {
  const why =
    refusalOfOver(order, now) ??
    refusalOfOwn(order, actor, 'ratify') ??
    refusalOfTheirs(order, actor);
  if (why) return why;
  if (order.lapsesAt === null) return refusal('already_decided', 'The order stands already.');
  const may = ratifiersOf(order, rule);
  if (holds(actor, may)) return null;
  return refusal('role_required', `It is ratified by: ${may.join(', ') || 'nobody'}.`);
}

/** Decides whether a person may add to what an order says: whoever could issue it, and of a partner on its own alone. */
export function decideSupplement(
  order: Order,
  completed: OrderSpec,
  acting: Acting,
  own: PartnersOwn,
): Refusal | null {
  return refusalOfTheirs(order, acting.actor) ?? decideOrder(completed, acting, own);
}

/** Decides whether a person may record that an order was reviewed and goes on. */
export function decideReview(order: Order, { actor, rule }: Acting, now: number): Refusal | null {
  const why =
    refusalOfOver(order, now) ??
    refusalOfOwn(order, actor, 'review') ??
    refusalOfTheirs(order, actor);
  if (why) return why;
  if (order.lapsesAt !== null)
    return refusal('illegal_transition', 'The order has not been ratified yet. Ratify it first.');
  if (holds(actor, [...rule.ratify, ...rule.lift])) return null;
  return refusal(
    'role_required',
    `It is reviewed by: ${[...rule.ratify, ...rule.lift].join(', ')}.`,
  );
}

/** Decides whether a person may end or lower an order. */
export const decideLift = (
  order: Order,
  acting: Acting,
  now: number,
  what = 'lift',
): Refusal | null => refusalOfOver(order, now) ?? mayLift(order, acting, what);

/** Decides whether a person may decide on an objection: whoever could end the order, also once it is over. */
export function decideRuling(
  order: Order,
  { personId }: { personId: string },
  acting: Acting,
): Refusal | null {
  const why = mayLift(order, acting, 'decide on');
  if (why || personId !== acting.actor.person.id) return why;
  return refusal(
    'second_person_needed',
    'Whoever objected may not decide on it. Another person must.',
  );
}

function mayLift(order: Order, { actor, rules, rule }: Acting, what: string): Refusal | null {
  const why = refusalOfOwn(order, actor, what) ?? refusalOfTheirs(order, actor);
  if (why) return why;
  const may = liftersOf(order, rules, rule);
  if (holds(actor, may)) return null;
  return refusal('role_required', `To ${what} it takes: ${may.join(', ') || 'nobody'}.`);
}

/** What an order is lowered to: less of the same. */
export type Lowered = Pick<OrderSpec, 'level' | 'selector' | 'measures' | 'expiresAt'>;

/** Whether one constraint asks for no more than another. */
function isWithinMeasures(inner: Measures, outer: Measures): boolean {
  const { limitsPercent = 100, tokenSeconds = Infinity } = inner;
  const within = (name: 'features' | 'purposes' | 'putBack'): boolean =>
    (inner[name] ?? []).every((one) =>
      (outer[name] as readonly string[] | undefined)?.includes(one),
    );
  return (
    limitsPercent >= (outer.limitsPercent ?? 100) &&
    tokenSeconds >= (outer.tokenSeconds ?? Infinity) &&
    within('features') &&
    within('purposes') &&
    within('putBack')
  );
}

/** Decides whether one order is less than another: of a lower level, or narrower, and about nothing else. */
export function refusalOfLowering(order: OrderSpec, to: Lowered): Refusal | null {
  const refused = (param: keyof Lowered, why: string): Refusal =>
    refusal('invalid_request', `${why} To tighten, issue another order.`, { param });
  if (!isWithinSelector(to.selector, order.selector))
    return refused(
      'selector',
      'It must be about what the order is about, or part of it: keep every part of its selector.',
    );
  const isNarrower = !isWithinSelector(order.selector, to.selector);
  if (to.level > order.level || (to.level === order.level && !isNarrower))
    return refused('level', `It must be of a lower level than ${order.level}, or narrower.`);
  if (to.level === order.level && !isWithinMeasures(to.measures, order.measures))
    return refused('measures', 'At the same level it may ask for nothing that the order does not.');
  // What goes on beyond the end of the first is more than was ordered, and not for those who may lift it to add.
  const { expiresAt: end } = order;
  if (end !== undefined && to.expiresAt !== undefined && Date.parse(to.expiresAt) > Date.parse(end))
    return refused(
      'expiresAt',
      `It may not last longer than the order whose place it takes, which ends at ${end}.`,
    );
  return refusalOfNoOrder(order, to);
}

/** What takes an order's place is an order itself, and does what its level does. */
function refusalOfNoOrder({ grounds }: OrderSpec, to: Lowered): Refusal | null {
  const issue = orderSpecSchema.safeParse({ ...to, grounds }).error?.issues[0];
  if (!issue) return null;
  const [param] = issue.path.map(String);
  return refusal('invalid_request', `${issue.path.join('.')}: ${issue.message}`, { param });
}
