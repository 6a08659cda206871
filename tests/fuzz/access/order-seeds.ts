/** Orders at random, about whatever there is when they are tried. */
import * as fc from 'fast-check';
import { orderSpecSchema, type Measures, type OrderSpec } from '../../../src/core/orders/order.ts';
import type { Selector, SelectorParts } from '../../../src/core/orders/selector.ts';
import { oneOf, pick } from './run.ts';
import { ENDPOINT_OF, HOUR, LIFTED, NETWORK, instant } from './setting.ts';
import { partsOf, type Model, type ModelOrder } from './state.ts';

const attributes = fc.record({
  is: fc.subarray(['restricted', 'cleared'], { minLength: 1 }),
  unknown: fc.constantFrom('matches' as const, 'spared' as const),
});

const PARTS = [
  'lab',
  'grant',
  'endpoint',
  'model',
  'safeguard',
  'person',
  'attributes',
  'purpose',
  'run',
  'feature',
  'network',
  'token',
] as const;

/** Which parts a selector names, and a choice for each. Few: what names many is about hardly anything. */
const partsSeed = fc.record({
  names: fc.shuffledSubarray([...PARTS], { minLength: 1, maxLength: 3 }),
  choice: pick,
  attributes,
});

type PartsSeed = typeof partsSeed extends fc.Arbitrary<infer T> ? T : never;

const PURPOSES = ['hallucination', 'scheming', 'bias'] as const;
const FEATURES = ['streaming', 'tools', 'images'] as const;
const SAFEGUARDS = [...new Set(Object.values(LIFTED).flat()), 'unheard-of'];

/** What the choices mean at this moment. */
function partsAt(
  { names, choice, attributes: condition }: PartsSeed,
  { labs, grants, people, tokens }: Model,
): SelectorParts {
  const chosen = {
    lab: (n: number) =>
      oneOf(
        labs.filter(({ kind }) => kind === 'partner'),
        n,
      )?.id,
    grant: (n: number) => oneOf(grants, n)?.id,
    endpoint: (n: number) => oneOf(Object.keys(LIFTED), n),
    model: (n: number) => oneOf(Object.keys(ENDPOINT_OF), n),
    safeguard: (n: number) => oneOf(SAFEGUARDS, n),
    person: (n: number) =>
      oneOf(
        people.filter(({ kind }) => kind === 'partner'),
        n,
      )?.id,
    purpose: (n: number) => oneOf(PURPOSES, n),
    run: (n: number) => oneOf(tokens, n)?.run,
    feature: (n: number) => oneOf(FEATURES, n),
    network: () => NETWORK,
    token: (n: number) => oneOf(tokens, n)?.id,
  };
  const named = names.flatMap((part, i): [string, unknown][] => {
    if (part === 'attributes') return [[part, [{ name: 'export_status', ...condition }]]];
    const value = chosen[part](choice >> i);
    return value === undefined ? [] : [[part, value]];
  });
  return Object.fromEntries(named);
}

const measuresSeed: fc.Arbitrary<Measures> = fc.record(
  {
    limitsPercent: fc.constantFrom(10, 50),
    features: fc.subarray([...FEATURES], { minLength: 1 }),
    purposes: fc.subarray([...PURPOSES], { minLength: 1 }),
    putBack: fc.subarray(SAFEGUARDS.slice(0, 2), { minLength: 1 }),
  },
  { requiredKeys: [] },
);

export const orderSeed = fc.record({
  level: fc.constantFrom(0, 1, 2, 2, 3, 3, 3, 4, 4, 5),
  parts: partsSeed,
  all: fc.nat(19),
  measures: measuresSeed,
  legal: fc.nat(9),
  expires: fc.option(fc.constantFrom(1, 30, 24 * 40), { freq: 4 }),
  review: fc.option(fc.constantFrom(1, 24 * 3, 24 * 60), { freq: 4 }),
});

type OrderSeed = typeof orderSeed extends fc.Arbitrary<infer T> ? T : never;

const MEASURES_OF: Record<number, (measures: Measures) => Measures> = {
  1: () => ({ tokenSeconds: 120 }),
  2: (measures) => (Object.keys(measures).length > 0 ? measures : { features: ['tools'] }),
};

/** The order that the choices mean at this moment; undefined: there is none such. */
export function orderAt(seed: OrderSeed, model: Model): OrderSpec | undefined {
  const { level, parts, all, measures, legal, expires, review } = seed;
  const instrument = 'file 12/26';
  return orderSpecSchema.safeParse({
    level,
    selector: all === 0 ? { all: true } : partsAt(parts, model),
    measures: MEASURES_OF[level]?.(measures) ?? {},
    grounds: 'A test',
    authority: legal === 0 ? { kind: 'legal', instrument } : { kind: 'officer' },
    ...(expires !== null && { expiresAt: instant(model.now + expires * HOUR) }),
    ...(review !== null && { reviewAt: instant(model.now + review * HOUR) }),
  }).data;
}

export const lesserSeed = fc.record({
  down: fc.nat(3),
  parts: partsSeed,
  widens: fc.nat(9),
  measures: measuresSeed,
  expires: fc.option(fc.constantFrom(1, 24 * 10), { freq: 4 }),
});

type LesserSeed = typeof lesserSeed extends fc.Arbitrary<infer T> ? T : never;

/** Something to put in the place of an order: mostly less, now and then more. */
export function lesserAt(
  order: Pick<ModelOrder, 'level' | 'selector' | 'measures'>,
  { down, parts, widens, measures, expires }: LesserSeed,
  model: Model,
): { level: number; selector: Selector; measures: Measures; expiresAt: string | undefined } {
  const level = widens === 0 ? Math.min(5, order.level + 1) : Math.max(0, order.level - down);
  const more = down % 2 === 0 ? partsAt(parts, model) : {};
  const merged = { ...more, ...partsOf(order.selector) };
  const selector: Selector =
    widens === 1 ? { ...more } : Object.keys(merged).length === 0 ? order.selector : merged;
  const kept = level === 2 && order.level === 2 ? { ...measures, ...order.measures } : measures;
  return {
    level,
    // A selector of nothing cannot be sent.
    selector: Object.keys(selector).length === 0 ? order.selector : selector,
    measures: widens === 2 ? measures : (MEASURES_OF[level]?.(down === 3 ? measures : kept) ?? {}),
    expiresAt: expires === null ? undefined : instant(model.now + expires * HOUR),
  };
}
