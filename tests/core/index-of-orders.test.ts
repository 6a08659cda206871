/** However orders are kept, those that are found are those that a comparison one by one would find. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectOf } from '../../src/core/orders/effect.ts';
import {
  selects,
  selectorSchema,
  type OrderSubject,
  type SelectorParts,
} from '../../src/core/orders/selector.ts';
import { LEAD, NOW, OTHER_PARTNER, PARTNER, RESEARCHER, anOrder, idOf } from '../support/facts.ts';

const NAMES = ['export_status', 'employer'];
const VALUES = ['a', 'b', 'c'];

const condition = fc.record({
  name: fc.constantFrom(...NAMES),
  is: fc.subarray(VALUES, { minLength: 1 }),
  unknown: fc.constantFrom('matches' as const, 'spared' as const),
});

const parts: fc.Arbitrary<SelectorParts> = fc.record(
  {
    lab: fc.constantFrom(PARTNER.id, OTHER_PARTNER.id),
    grant: fc.constantFrom(idOf('grt', 'one'), idOf('grt', 'two')),
    endpoint: fc.constantFrom('demo', 'other'),
    model: fc.constantFrom('model-a-1', 'model-b-1'),
    person: fc.constantFrom(RESEARCHER.person.id, LEAD.person.id),
    attributes: fc.array(condition, { minLength: 1, maxLength: 3 }),
    purpose: fc.constantFrom('hallucination' as const, 'scheming' as const),
    run: fc.constantFrom(idOf('run', 'one'), idOf('run', 'two')),
    feature: fc.constantFrom('tools' as const, 'images' as const),
    network: fc.constantFrom('192.0.2.0/24', '198.51.100.0/24', '2001:db8::/48'),
    token: fc.constantFrom(idOf('tok', 'one'), idOf('tok', 'two')),
  },
  { requiredKeys: [] },
);

// Few parts each, or nothing would match anything.
const few = parts.map((all) => Object.fromEntries(Object.entries(all).slice(0, 2)));
const selectors = fc.oneof(few, parts).map((some) => {
  const parsed = selectorSchema.safeParse(some);
  return parsed.success ? parsed.data : { all: true as const };
});

const subjects: fc.Arbitrary<OrderSubject> = fc.record(
  {
    grantId: fc.constantFrom(idOf('grt', 'one'), idOf('grt', 'two')),
    labId: fc.constantFrom(PARTNER.id, OTHER_PARTNER.id),
    person: fc
      .dictionary(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES))
      .map((attributes) => ({ ...RESEARCHER.person, attributes })),
    endpoint: fc.constantFrom('demo', 'other'),
    model: fc.constantFrom('model-a-1', 'model-b-1'),
    purpose: fc.constantFrom('hallucination' as const, 'scheming' as const),
    runId: fc.constantFrom(idOf('run', 'one'), idOf('run', 'two')),
    features: fc.subarray(['tools', 'images']),
    address: fc.constantFrom('192.0.2.7', '::ffff:192.0.2.7', '198.51.100.9', '2001:db8::1', 'x'),
    tokenId: fc.constantFrom(idOf('tok', 'one'), idOf('tok', 'two')),
  },
  { requiredKeys: ['grantId', 'labId'] },
);

test('orders are found by whatever they name', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(selectors, fc.constantFrom(1, 4)), { maxLength: 30 }),
      fc.array(subjects, { minLength: 1, maxLength: 6 }),
      (list, asked) => {
        const orders = list.map(([selector, level], i) =>
          anOrder(`o${String(i).padStart(3, '0')}`, selector, { level }),
        );
        for (const subject of asked) {
          const about = orders.filter((order) => selects(order, subject));
          const { stops, noted, features, purposes } = effectOf(orders, subject, NOW);
          expect(stops).toEqual(about.filter(({ level }) => level === 4));
          expect(new Set(noted)).toEqual(new Set(about.filter(({ level }) => level === 1)));
          // What would stop if a feature were used, or the purpose were another, is paused.
          for (const feature of ['tools', 'images'])
            expect(features.has(feature)).toBe(
              orders.some(
                (order) =>
                  order.level === 4 &&
                  'feature' in order.selector &&
                  order.selector.feature === feature &&
                  selects(order, { ...subject, features: [feature] }),
              ),
            );
          for (const purpose of ['hallucination', 'scheming'] as const)
            expect(purposes.has(purpose)).toBe(
              orders.some(
                (order) =>
                  order.level === 4 &&
                  'purpose' in order.selector &&
                  order.selector.purpose === purpose &&
                  selects(order, { ...subject, purpose }),
              ),
            );
        }
      },
    ),
    { numRuns: 300 },
  );
});
