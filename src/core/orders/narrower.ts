/** Narrower orders that would cover the same facts: what a safety officer is shown before they stop more than they need. */
import { alternativeWith } from '../configured.ts';
import type { Endpoint } from '../endpoints.ts';
import { LEVEL, orderSpecSchema, type Measures, type OrderSpec } from './order.ts';
import { partsOf, selectorSchema, type Selector, type SelectorParts } from './selector.ts';

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
    const selector = selectorSchema.safeParse(parts);
    if (!selector.success) return;
    const order = { level, selector: selector.data, measures };
    if (orderSpecSchema.safeParse({ ...spec, ...order }).success) found.push({ ...order, because });
  };
  const { endpoint, model, feature, purpose } = facts;
  const at = endpoints.filter(
    ({ id, models }) =>
      (endpoint === undefined || id === endpoint) &&
      (model === undefined || models.includes(model)),
  );
  const restorable = new Set(
    at.flatMap(({ alternatives }) => alternatives.flatMap((one) => one.restores)),
  );
  for (const safeguard of restorable) {
    if (facts.safeguard !== undefined && facts.safeguard !== safeguard) continue;
    const parts = Object.keys(named).length > 0 ? named : { endpoint: at[0]?.id };
    add(LEVEL.constrain, parts, puttingBack(safeguard, stuckWithout(safeguard, at, model)), {
      putBack: [safeguard],
    });
  }
  if (feature !== undefined && spec.level > LEVEL.constrain)
    add(LEVEL.constrain, withoutPart(facts, 'feature'), `pauses the feature ${feature} alone`, {
      features: [feature],
    });
  if (purpose !== undefined && spec.level > LEVEL.constrain)
    add(LEVEL.constrain, withoutPart(facts, 'purpose'), `pauses the purpose ${purpose} alone`, {
      purposes: [purpose],
    });
  for (const part of ['token', 'run', 'person', 'attributes', 'model'] as const) {
    if (finding?.[part] === undefined || named[part] !== undefined) continue;
    add(
      Math.min(spec.level, LEVEL.suspend_narrowly),
      { ...named, [part]: finding[part] },
      `stops what the finding names: ${part}`,
    );
  }
  return found.sort((a, b) => a.level - b.level);
}

/** Models at some endpoints for which nothing puts a safeguard back: an order that wants it back stops them. */
function stuckWithout(
  safeguard: string,
  endpoints: readonly Pick<Endpoint, 'models' | 'alternatives'>[],
  only: string | undefined,
): string[] {
  const stuck = endpoints.flatMap(({ models, alternatives }) =>
    models.filter((model) => alternativeWith(alternatives, model, [safeguard]) === undefined),
  );
  return [...new Set(stuck)].filter((model) => only === undefined || model === only);
}

const puttingBack = (safeguard: string, stuck: readonly string[]): string =>
  stuck.length === 0
    ? `puts the safeguard ${safeguard} back and stops nobody`
    : `puts the safeguard ${safeguard} back, and stops ${stuck.join(', ')}, for which nothing does`;

function withoutPart(parts: SelectorParts, part: keyof SelectorParts): SelectorParts {
  const { [part]: _, ...rest } = parts;
  return rest;
}
