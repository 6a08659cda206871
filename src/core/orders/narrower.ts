/** Narrower orders that would cover the same facts: what a safety officer is shown before they stop more than they need. */
import { alternativeWith } from '../configured.ts';
import type { Endpoint } from '../endpoints.ts';
import { LEVEL, orderSpecSchema, type Measures, type OrderSpec } from './order.ts';
import { refusalOfLowering } from './steps.ts';
import {
  partsOf,
  selectorSchema,
  type Selector,
  type SelectorPart,
  type SelectorParts,
} from './selector.ts';

/** What is known of what happened: parts as a selector has them. */
export type Finding = SelectorParts;

export interface NarrowerOrder {
  level: number;
  selector: Selector;
  measures: Measures;
  /** How it is less. */
  because: string;
}

/**
 * Orders that are less than one and still cover a finding; the least first.
 *
 * @param finding what is known of what happened; without it, only what the order itself names
 */
export function narrowerOrders(
  spec: OrderSpec,
  finding: Finding | undefined,
  endpoints: readonly Pick<Endpoint, 'id' | 'models' | 'alternatives'>[],
): NarrowerOrder[] {
  if (spec.level < LEVEL.constrain) return [];
  const named = partsOf(spec.selector);
  const facts = { ...finding, ...named };
  const found: NarrowerOrder[] = [];
  const add = (
    level: number,
    parts: SelectorParts,
    because: string,
    measures: Measures = {},
  ): void => {
    const isAll = Object.values(parts).every((part) => part === undefined);
    const selector = selectorSchema.safeParse(isAll ? { all: true } : parts);
    if (!selector.success) return;
    const order = { level, selector: selector.data, measures };
    if (!orderSpecSchema.safeParse({ ...spec, ...order }).success) return;
    if (refusalOfLowering(spec, order) === null) found.push({ ...order, because });
  };
  const { endpoint, model, feature, purpose } = facts;
  const at = endpoints.filter(
    ({ id, models }) =>
      (endpoint === undefined || id === endpoint) &&
      (model === undefined || models.includes(model)),
  );
  for (const one of at) {
    const restorable = new Set(one.alternatives.flatMap(({ restores }) => restores));
    for (const safeguard of restorable) {
      if (facts.safeguard !== undefined && facts.safeguard !== safeguard) continue;
      const stuck = stuckWithout(safeguard, one, model);
      add(LEVEL.constrain, { ...named, endpoint: one.id }, puttingBack(safeguard, one.id, stuck), {
        putBack: [safeguard],
      });
    }
  }
  if (feature !== undefined && spec.level > LEVEL.constrain)
    add(LEVEL.constrain, withoutPart(facts, 'feature'), `pauses the feature ${feature} alone`, {
      features: [feature],
    });
  if (purpose !== undefined && spec.level > LEVEL.constrain)
    add(LEVEL.constrain, withoutPart(facts, 'purpose'), `pauses the purpose ${purpose} alone`, {
      purposes: [purpose],
    });
  for (const part of PARTS) {
    if (finding?.[part] === undefined || named[part] !== undefined) continue;
    const level = Math.min(spec.level, WHOLE.has(part) ? LEVEL.suspend : LEVEL.suspend_narrowly);
    const parts = { ...named, [part]: finding[part] };
    // A constraint stays the same, of less.
    if (level === LEVEL.constrain)
      add(level, parts, `is about what the finding names: ${part}`, spec.measures);
    else add(level, parts, `stops what the finding names: ${part}`);
  }
  if (spec.level > LEVEL.constrain) {
    add(LEVEL.watch, named, 'shortens tokens, and the entries name it');
    add(LEVEL.constrain, named, 'halves the limits and stops nobody', { limitsPercent: 50 });
  }
  return found.sort((a, b) => a.level - b.level);
}

/** What a finding can name, the narrowest first. */
const PARTS = [
  'token',
  'run',
  'person',
  'attributes',
  'network',
  'feature',
  'purpose',
  'model',
  'safeguard',
  'grant',
  'endpoint',
  'lab',
] as const satisfies readonly SelectorPart[];

/** What is suspended as a whole. */
const WHOLE: ReadonlySet<SelectorPart> = new Set(['grant', 'endpoint', 'lab', 'safeguard']);

/** Models of an endpoint for which nothing puts a safeguard back: an order that wants it back stops them. */
const stuckWithout = (
  safeguard: string,
  { models, alternatives }: Pick<Endpoint, 'models' | 'alternatives'>,
  only: string | undefined,
): string[] =>
  models.filter(
    (model) =>
      (only === undefined || model === only) &&
      alternativeWith(alternatives, model, [safeguard]) === undefined,
  );

const puttingBack = (safeguard: string, endpoint: string, stuck: readonly string[]): string =>
  stuck.length === 0
    ? `puts the safeguard ${safeguard} back at ${endpoint} and stops nobody`
    : `puts the safeguard ${safeguard} back at ${endpoint}, and stops ${stuck.join(', ')}, for which nothing does`;

function withoutPart(parts: SelectorParts, part: keyof SelectorParts): SelectorParts {
  const { [part]: _, ...rest } = parts;
  return rest;
}
