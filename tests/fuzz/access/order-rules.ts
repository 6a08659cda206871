/** Who may do what to an order, and what comes of it, as the issue's table and docs/orders.md have it. */
import type { Measures, OrderSpec } from '../../../src/core/orders/order.ts';
import type { Selector } from '../../../src/core/orders/selector.ts';
import { isOrderInForce } from './oracle.ts';
import { HOUR } from './setting.ts';
import {
  offices,
  partsOf,
  personOf,
  type Model,
  type ModelOrder,
  type ModelPerson,
} from './state.ts';

interface Rule {
  issue: readonly string[];
  ratify: readonly string[];
  lift: readonly string[];
  /** Milliseconds; Infinity: never. */
  lapse: number;
  review: (from: number) => number;
}

const DAY = 24 * HOUR;
const OFFICERS = ['host.safety', 'host.admin', 'host.executive'];
const AUDITORS = ['host.auditor', 'auditor.auditor'];
const NEVER = (): number => Infinity;

/** The table. */
const RULES: Rule[] = [
  {
    issue: ['anyone'],
    ratify: [],
    lift: [...OFFICERS, ...AUDITORS],
    lapse: Infinity,
    review: NEVER,
  },
  {
    issue: ['host.safety', ...AUDITORS],
    ratify: OFFICERS,
    lift: OFFICERS,
    lapse: 14 * DAY,
    review: (from) => from + 28 * DAY,
  },
  {
    issue: ['host.safety'],
    ratify: OFFICERS,
    lift: OFFICERS,
    lapse: 7 * DAY,
    review: (from) => from + 28 * DAY,
  },
  {
    issue: ['host.safety', 'partner.safety'],
    ratify: [...OFFICERS, 'partner.safety', 'partner.lead'],
    lift: [...OFFICERS, 'partner.safety', 'partner.lead'],
    lapse: 72 * HOUR,
    review: (from) => from + 14 * DAY,
  },
  {
    issue: ['host.safety', 'host.executive'],
    ratify: ['host.safety', 'host.executive'],
    lift: OFFICERS,
    lapse: 24 * HOUR,
    review: (from) => from + 14 * DAY,
  },
  {
    issue: ['host.executive'],
    ratify: AUDITORS,
    lift: ['host.executive', ...AUDITORS],
    lapse: 24 * HOUR,
    review: (from) => {
      let moment = from;
      for (let days = 0; days < 15;) {
        moment += DAY;
        if (![0, 6].includes(new Date(moment).getUTCDay())) days += 1;
      }
      return moment;
    },
  },
];

/** Who records and lifts the order of an authority. */
const LEGAL = {
  issue: ['host.safety', 'host.executive', 'host.admin'],
  lift: ['host.safety', 'host.executive'],
};

/** The rule of a level, or what the grant that an order names says instead. */
function ruleOf(model: Model, { level, selector }: Pick<ModelOrder, 'level' | 'selector'>): Rule {
  const rule = RULES[level] as Rule;
  const { grant: id } = partsOf(selector);
  const said = model.grants.find((grant) => grant.id === id)?.text.spec.orderRules.suspend;
  if (level !== 4 || said === undefined) return rule;
  return { ...rule, issue: said.issue ?? [], lift: said.lift ?? [], lapse: HOUR };
}

const holds = (actor: ModelPerson, wanted: readonly string[]): boolean =>
  !actor.removed &&
  (wanted.includes('anyone') || offices(actor).some((office) => wanted.includes(office)));

/** What a partner's people order is about their own people alone, but for notices. */
function isTheirOwn(
  model: Model,
  actor: ModelPerson,
  { level, selector }: Pick<ModelOrder, 'level' | 'selector'>,
): boolean {
  const { lab, person } = partsOf(selector);
  if (actor.kind !== 'partner' || level === 0 || lab === actor.lab) return true;
  return person !== undefined && personOf(model, person)?.lab === actor.lab;
}

export function mayIssue(model: Model, actor: ModelPerson, spec: OrderSpec): boolean {
  const rule = ruleOf(model, spec);
  const both = spec.level === 5 ? [...rule.issue, ...rule.ratify] : rule.issue;
  const who = spec.authority.kind === 'legal' ? LEGAL.issue : both;
  return holds(actor, who) && isTheirOwn(model, actor, spec);
}

const momentOf = (text: string | undefined): number =>
  text === undefined ? Infinity : Date.parse(text);

export function issued(model: Model, actor: ModelPerson, id: string, spec: OrderSpec): ModelOrder {
  const legal = spec.authority.kind === 'legal';
  return {
    id,
    level: spec.level,
    selector: spec.selector,
    measures: spec.measures,
    legal,
    by: actor.id,
    byLab: actor.lab,
    part: spec.level === 5 && !holds(actor, ruleOf(model, spec).issue) ? 'second' : 'first',
    stands: legal || spec.level === 0,
    lapses: legal ? Infinity : model.now + ruleOf(model, spec).lapse,
    expires: momentOf(spec.expiresAt),
    unreviewed: Infinity,
    reviewAt: momentOf(spec.reviewAt),
    ended: false,
  };
}

/** Whether it is somebody else's to act on: not one's own, in force, and a partner's only where the partner issued it. */
const isOpenTo = (model: Model, order: ModelOrder, actor: ModelPerson): boolean =>
  isOrderInForce(order, model.now) && isOthers(order, actor);

const isOthers = (order: ModelOrder, actor: ModelPerson): boolean =>
  !actor.removed &&
  order.by !== actor.id &&
  (actor.kind !== 'partner' || order.byLab === actor.lab);

export function mayRatify(model: Model, order: ModelOrder, actor: ModelPerson): boolean {
  if (!isOpenTo(model, order, actor) || order.stands) return false;
  return holds(actor, othersOf(order, ruleOf(model, order)));
}

/** Executive and auditor between them: each fills the part of a recall that the other did not. */
const othersOf = ({ part }: ModelOrder, rule: Rule): readonly string[] =>
  part === 'second' && rule.review === RULES[5]?.review ? rule.issue : rule.ratify;

/** A review that is missed ends a recall, and no other order; never one of an authority. */
function reviewed(model: Model, order: ModelOrder, asked: number): void {
  const due = Math.min(asked, ruleOf(model, order).review(model.now));
  order.unreviewed = order.level === 5 && !order.legal ? due : Infinity;
}

export function ratify(model: Model, order: ModelOrder): void {
  order.stands = true;
  order.lapses = Infinity;
  // Nobody could review it before it stood.
  reviewed(model, order, order.reviewAt > model.now ? order.reviewAt : Infinity);
}

export function mayReview(model: Model, order: ModelOrder, actor: ModelPerson): boolean {
  const { ratify: one, lift: other } = ruleOf(model, order);
  return isOpenTo(model, order, actor) && order.stands && holds(actor, [...one, ...other]);
}

export function review(model: Model, order: ModelOrder): void {
  order.reviewAt = Infinity;
  reviewed(model, order, Infinity);
}

/** To lift it, to lower it. */
export const mayLoosen = (model: Model, order: ModelOrder, actor: ModelPerson): boolean =>
  isOrderInForce(order, model.now) && mayRule(model, order, actor);

/** To decide on an objection, also to an order that is over. */
export const mayRule = (model: Model, order: ModelOrder, actor: ModelPerson): boolean =>
  isOthers(order, actor) && holds(actor, order.legal ? LEGAL.lift : ruleOf(model, order).lift);

export interface Lesser {
  level: number;
  selector: Selector;
  measures: Measures;
  expiresAt?: string | undefined;
}

/** Whether an order about the one is about nothing that one about the other is not about. */
function isWithin(inner: Selector, outer: Selector): boolean {
  if ('all' in outer) return true;
  if ('all' in inner) return false;
  const { attributes: wide = [], ...parts } = outer;
  const { attributes: narrow = [] } = inner;
  return (
    Object.entries(parts).every(([part, value]) => inner[part as 'lab'] === value) &&
    wide.every(({ name, is, unknown }) =>
      narrow.some(
        (one) =>
          one.name === name &&
          one.is.every((value) => is.includes(value)) &&
          (unknown === 'matches' || one.unknown === 'spared'),
      ),
    )
  );
}

const NARROW = ['person', 'attributes', 'run', 'token', 'purpose', 'feature', 'model', 'network'];

/** Whether there can be such an order at all. */
function canBe({ level, selector, measures }: Lesser): boolean {
  const names = (...parts: string[]): boolean => parts.some((part) => part in selector);
  const { tokenSeconds, ...constraints } = measures;
  const constrains = Object.values(constraints).some((one) => one !== undefined);
  if (constrains !== (level === 2)) return false;
  if (tokenSeconds !== undefined && level !== 1 && level !== 2) return false;
  if (level === 3) return names(...NARROW);
  return level !== 5 || names('all', 'endpoint', 'model', 'safeguard');
}

/** Whether one order is less than another: of a lower level, or narrower, and about nothing else. */
export function isLess(order: ModelOrder, to: Lesser): boolean {
  if (!canBe(to) || !isWithin(to.selector, order.selector) || to.level > order.level) return false;
  // It ends no later than the first says of itself.
  if (to.expiresAt !== undefined && momentOf(to.expiresAt) > order.expires) return false;
  if (to.level < order.level) return true;
  if (isWithin(order.selector, to.selector)) return false;
  const { limitsPercent = 100, tokenSeconds = Infinity } = to.measures;
  const before = order.measures;
  const isPart = (name: 'features' | 'purposes' | 'putBack'): boolean =>
    (to.measures[name] ?? []).every((one) =>
      (before[name] as readonly unknown[] | undefined)?.includes(one),
    );
  return (
    limitsPercent >= (before.limitsPercent ?? 100) &&
    tokenSeconds >= (before.tokenSeconds ?? Infinity) &&
    isPart('features') &&
    isPart('purposes') &&
    isPart('putBack')
  );
}

/**
 * The lesser order that takes the place of one, on the authority of the first. Whoever could ratify it has done so by
 * lowering; else it lapses when the first would have.
 */
export function replaced(
  model: Model,
  order: ModelOrder,
  id: string,
  to: Lesser,
  actor: ModelPerson,
): ModelOrder {
  order.ended = true;
  const { level, selector, measures, expiresAt } = to;
  const rule = ruleOf(model, to);
  const stands =
    order.lapses === Infinity || rule.lapse === Infinity || holds(actor, othersOf(order, rule));
  const lesser: ModelOrder = {
    ...order,
    id,
    level,
    selector,
    measures,
    stands,
    lapses: stands ? Infinity : Math.min(order.lapses, model.now + rule.lapse),
    expires: expiresAt === undefined ? order.expires : momentOf(expiresAt),
    unreviewed: Infinity,
    ended: false,
  };
  if (stands) reviewed(model, lesser, order.reviewAt > model.now ? order.reviewAt : Infinity);
  return lesser;
}
