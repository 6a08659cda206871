import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideAccess, type AccessFacts } from '../../src/core/access.ts';
import { NOTHING_CONFIGURED } from '../../src/core/configured.ts';
import { changesBetween, widens, type Change } from '../../src/core/grant-changes.ts';
import { grantSpecSchema, type Grant, type GrantSpec } from '../../src/core/grants.ts';
import { refusalOfNarrowing } from '../../src/core/narrowing.ts';
import { isInNetworks } from '../../src/core/networks.ts';
import { recipientOf } from '../../src/core/transcripts/recipients.ts';
import { SWITCHES, type Switch } from '../../src/core/vocabulary.ts';
import {
  HOUR,
  LEAD,
  NOW,
  PARTNER,
  RESEARCHER,
  aGrant,
  aMember,
  aSpec,
  at,
  idOf,
} from '../support/facts.ts';

const STRANGER = aMember(PARTNER, 'stranger', 'researcher');

const effects = (before: GrantSpec, after: GrantSpec, rest: Partial<Grant> = {}): string[] =>
  changesBetween(aGrant({ spec: before, ...rest }), after).map(
    ({ path, effect }) => `${path} ${effect}`,
  );

/** Whom transcripts are sealed to, and somebody else. */
const [ONE, TWO, OTHER] = [2, 3, 4].map((fill) => ({
  recipient: recipientOf(Buffer.alloc(32, fill)),
  holder: 'A holder',
}));

/** A text with something in every field. */
const FULL = aSpec({
  maxPeople: 5,
  features: { streaming: true, tools: false, n: 2, maxOutputTokens: 100, betaHeaders: ['a'] },
  limits: { requestsPerMinute: 10, tokensPerMinute: 10, concurrent: 10 },
  budgets: { requests: 10, tokens: 10, requestsPerDay: 10, tokensPerDay: 10, spendUsd: 10 },
  perPerson: {
    limits: { requestsPerMinute: 5, tokensPerMinute: 5, concurrent: 5 },
    budgets: { requests: 5, tokens: 5, requestsPerDay: 5, tokensPerDay: 5, spendUsd: 5 },
  },
  networks: ['192.0.2.0/24'],
  requires: [{ name: 'export_status', is: ['US'] }],
  review: { every: '30d' },
  transcripts: 'sealed',
  transcriptRecipients: [ONE, TWO].filter((one) => one !== undefined),
  transcriptRetentionDays: 30,
  people: [{ person: LEAD.person.id, until: at(NOW + HOUR / 2) }, { person: RESEARCHER.person.id }],
});

/** The same text with something changed deep inside. */
function changed(path: string, value: unknown, from: GrantSpec = FULL): GrantSpec {
  const copy = structuredClone(from) as Record<string, unknown>;
  const parts = path.split('.');
  const last = parts.pop() as string;
  let place: Record<string, unknown> = copy;
  for (const part of parts) place = place[part] as Record<string, unknown>;
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy as GrantSpec;
}

const later = at(NOW + 2 * HOUR);
const sooner = at(NOW + HOUR / 2);
const ids = {
  lead: LEAD.person.id,
  researcher: RESEARCHER.person.id,
  stranger: STRANGER.person.id,
};

/** Each field: a change that is narrower (or null where there is none), and one that is wider. */
const CASES: [string, unknown, unknown][] = [
  ['lab', null, idOf('lab', 'other')],
  [
    'endpoints',
    [{ endpoint: 'demo', models: ['model-a-1'] }],
    [{ endpoint: 'other', models: ['model-a-1', 'model-b-1'] }],
  ],
  ['operations', ['messages'], ['chat.completions', 'messages', 'models']],
  ['features.streaming', false, null],
  ['features.tools', null, true],
  ['features.n', 1, 3],
  ['features.maxOutputTokens', 99, 101],
  ['features.betaHeaders', [], ['a', 'b']],
  ['purposes.allowed', null, ['hallucination', 'bias']],
  ['purposes.excluded', ['scheming', 'bias'], []],
  [
    'people',
    [{ person: ids.lead, until: at(NOW + HOUR / 2) }],
    [{ person: ids.lead }, { person: ids.researcher }],
  ],
  ['maxPeople', 4, 6],
  ...['requestsPerMinute', 'tokensPerMinute', 'concurrent'].flatMap(
    (name): [string, unknown, unknown][] => [
      [`limits.${name}`, 9, 11],
      [`perPerson.limits.${name}`, 4, 6],
    ],
  ),
  ...['requests', 'tokens', 'requestsPerDay', 'tokensPerDay', 'spendUsd'].flatMap(
    (name): [string, unknown, unknown][] => [
      [`budgets.${name}`, 9, 11],
      [`perPerson.budgets.${name}`, 4, 6],
    ],
  ),
  ['networks', ['192.0.2.128/25'], ['192.0.0.0/16']],
  ['binding', 'dpop', null],
  ['transcripts', 'digest', 'full'],
  ['transcriptRecipients', [ONE], [ONE, TWO, OTHER]],
  ['transcriptRetentionDays', 29, 31],
  ['unknownFields', null, 'pass'],
  ['recordNetwork', null, true],
  ['requires', [{ name: 'export_status', is: ['US'] }, { name: 'training' }], []],
  ['requires', null, [{ name: 'export_status' }]],
  ['review', { every: '7d' }, { every: '90d' }],
  ['duties', null, [{ kind: 'other', text: 'Say so', within: '7d' }]],
  ['orderRules', null, { watch: { lapse: '1d' } }],
  ['window.from', at(NOW), at(NOW - 2 * HOUR)],
  ['window.until', sooner, later],
  ['tokenLifetimeSeconds', 899, 901],
  ['terms.version', null, '2'],
  ['terms.text', null, 'Other terms.'],
];

describe('every field', () => {
  test.each(CASES.filter(([, narrower]) => narrower !== null))(
    '%s can be narrowed',
    (path, narrower) => {
      const after = changed(path, narrower);
      expect(effects(FULL, after)).not.toEqual([]);
      expect(widens(changesBetween(aGrant({ spec: FULL }), after))).toBe(false);
      // And back is wider.
      expect(widens(changesBetween(aGrant({ spec: after }), FULL))).toBe(true);
    },
  );

  test.each(CASES.filter(([, , wider]) => wider !== null))(
    '%s can be widened',
    (path, _, wider) => {
      expect(widens(changesBetween(aGrant({ spec: FULL }), changed(path, wider)))).toBe(true);
    },
  );

  test('none is forgotten: whatever is written differently is a change', () => {
    const leaves = (value: object, path: string): string[] =>
      Object.entries(value).flatMap(([name, inner]) =>
        typeof inner === 'object' && inner !== null && !Array.isArray(inner)
          ? leaves(inner as object, `${path}${name}.`)
          : [`${path}${name}`],
      );
    const optional = Object.keys(grantSpecSchema.shape);
    for (const leaf of new Set([...leaves(FULL, ''), ...optional])) {
      const found =
        leaf === 'title' || CASES.some(([path]) => path.startsWith(leaf) || leaf.startsWith(path));
      const switchOf = leaf.startsWith('features.');
      expect([leaf, found || switchOf]).toEqual([leaf, true]);
    }
  });

  test.each(Object.keys(SWITCHES) as Switch[])('the feature %s is compared', (name) => {
    const value = FULL.features[name];
    expect(effects(FULL, changed(`features.${name}`, !value))).toEqual([
      `features.${name} ${value ? 'narrower' : 'wider'}`,
    ]);
  });
});

describe('what is neither narrower nor wider', () => {
  test('a title is neutral', () => {
    expect(effects(FULL, changed('title', 'Another'))).toEqual(['title neutral']);
  });

  test('order, and ranges that say the same, are no widening', () => {
    expect(effects(FULL, changed('operations', ['messages', 'chat.completions']))).toEqual([]);
    expect(effects(FULL, changed('networks', ['192.0.2.9/24']))).toEqual(['networks neutral']);
  });

  test('the same text changes nothing', () => {
    expect(effects(FULL, structuredClone(FULL))).toEqual([]);
  });
});

describe('what looks narrower and is not', () => {
  test('a model moved to another endpoint', () => {
    const after = changed('endpoints', [{ endpoint: 'other', models: ['model-a-1'] }]);
    expect(effects(FULL, after)).toContain('endpoints wider');
  });

  test('a cap that is taken away', () => {
    expect(effects(FULL, changed('budgets.tokens', null))).toEqual(['budgets.tokens wider']);
  });

  test('a network of another kind, or the union of two that were not there', () => {
    for (const networks of [null, ['2001:db8::/48'], ['192.0.2.0/25', '192.0.3.0/25']])
      expect(effects(FULL, changed('networks', networks))).toEqual(['networks wider']);
  });

  test('leaving out somebody who joined, and so would stay for longer', () => {
    const joiners = [{ personId: LEAD.person.id, until: null }];
    const after = changed('people', [{ person: ids.researcher }]);
    expect(effects(FULL, after)).toEqual(['people narrower']);
    expect(effects(FULL, after, { joiners })).toEqual(['people wider']);
  });

  test('naming somebody who joined already', () => {
    const joiners = [{ personId: STRANGER.person.id, until: null }];
    const after = changed('people', [...FULL.people, { person: ids.stranger }]);
    expect(effects(FULL, after, { joiners })).toEqual(['people wider']);
  });
});

describe('what is called narrower never allows what was refused', () => {
  const anyCap = fc.option(fc.integer({ min: 1, max: 3 }), { nil: null });
  const caps = fc.record({
    limits: fc.record({ requestsPerMinute: anyCap, tokensPerMinute: anyCap, concurrent: anyCap }),
    budgets: fc.record({
      requests: anyCap,
      tokens: anyCap,
      requestsPerDay: anyCap,
      tokensPerDay: anyCap,
      spendUsd: anyCap,
    }),
  });
  const some = <T>(...items: T[]): fc.Arbitrary<T[]> => fc.subarray(items, { minLength: 1 });
  const hours = fc.integer({ min: 1, max: 4 });
  const specs: fc.Arbitrary<GrantSpec> = fc
    .record({
      models: some('model-a-1', 'model-b-1'),
      endpoint: fc.constantFrom('demo', 'other'),
      operations: some('chat.completions' as const, 'messages' as const),
      allowed: some('hallucination' as const, 'bias' as const),
      excluded: fc.subarray(['scheming' as const]),
      people: fc.subarray([ids.lead, ids.researcher, ids.stranger], { minLength: 1 }),
      until: fc.option(hours),
      networks: fc.option(some('192.0.2.0/24', '192.0.2.0/25', '198.51.100.0/24')),
      binding: fc.constantFrom('none' as const, 'dpop' as const),
      unknownFields: fc.constantFrom('refuse' as const, 'pass' as const),
      from: hours,
      length: hours,
      life: fc.constantFrom(300, 900),
      streaming: fc.boolean(),
      n: fc.integer({ min: 1, max: 2 }),
      caps,
      perPerson: caps,
      title: fc.constantFrom('One', 'Another'),
    })
    .map((one) =>
      aSpec({
        title: one.title,
        endpoints: [{ endpoint: one.endpoint, models: one.models }],
        operations: one.operations,
        features: { streaming: one.streaming, n: one.n },
        purposes: { allowed: one.allowed, excluded: one.excluded },
        people: one.people.map((person) => ({
          person,
          ...(one.until === null ? {} : { until: at(NOW + (one.until - 2) * HOUR) }),
        })),
        networks: one.networks,
        binding: one.binding,
        unknownFields: one.unknownFields,
        window: {
          from: at(NOW + (one.from - 3) * HOUR),
          until: at(NOW + (one.from - 3 + one.length) * HOUR),
        },
        tokenLifetimeSeconds: one.life,
        ...one.caps,
        perPerson: one.perPerson,
      }),
    );
  const asked = fc.record({
    who: fc.constantFrom(LEAD, RESEARCHER, STRANGER),
    purpose: fc.constantFrom('hallucination' as const, 'bias' as const, 'scheming' as const),
    operation: fc.constantFrom('chat.completions' as const, 'messages' as const),
    endpoint: fc.constantFrom('demo', 'other'),
    model: fc.constantFrom('model-a-1', 'model-b-1'),
    address: fc.constantFrom('192.0.2.7', '192.0.2.200', '198.51.100.1', '203.0.113.1'),
    bound: fc.boolean(),
  });
  const joiners = fc.subarray([
    { personId: ids.stranger, until: null },
    { personId: ids.lead, until: NOW + HOUR },
  ]);

  /** One field of the other text in place of this one's: most pairs of whole texts widen something. */
  const pairs = fc
    .tuple(
      specs,
      specs,
      fc.subarray(Object.keys(FULL) as (keyof GrantSpec)[], { minLength: 1, maxLength: 4 }),
    )
    .map(([before, other, fields]): [GrantSpec, GrantSpec] => [
      before,
      { ...before, ...Object.fromEntries(fields.map((field) => [field, other[field]])) },
    ]);

  test('no request, until no later, no cap, no feature', () => {
    let narrowed = 0;
    fc.assert(
      fc.property(
        pairs,
        joiners,
        fc.array(asked, { minLength: 5 }),
        ([spec, after], who, requests) => {
          const grant = aGrant({
            spec,
            joiners: who,
            acceptedBy: Object.values(ids),
          });
          const changes: Change[] = changesBetween(grant, after);
          if (widens(changes)) return;
          if (changes.some(({ effect }) => effect === 'narrower')) narrowed += 1;
          const next = { ...grant, spec: after };
          for (const { who: member, ...request } of requests) {
            const facts = (one: Grant): AccessFacts => ({
              grant: one,
              ...member,
              ...request,
              narrowing: null,
              orders: [],
              configured: NOTHING_CONFIGURED,
            });
            const before = decideAccess(facts(grant), NOW);
            const then = decideAccess(facts(next), NOW);
            if (!then.allowed) continue;
            expect(then.until).toBeLessThanOrEqual(before.allowed ? before.until : -1);
          }
          const capsOf = ({ limits, budgets, perPerson }: GrantSpec): (number | null)[] =>
            [limits, budgets, perPerson.limits, perPerson.budgets].flatMap((one) =>
              Object.values(one),
            );
          const old = capsOf(spec);
          capsOf(after).forEach((cap, i) =>
            expect(cap ?? Infinity).toBeLessThanOrEqual(old[i] ?? Infinity),
          );
          expect(refusalOfNarrowing(spec, { features: after.features })).toBeNull();
          expect(after.tokenLifetimeSeconds).toBeLessThanOrEqual(spec.tokenLifetimeSeconds);
          expect(spec.unknownFields === 'refuse' && after.unknownFields === 'pass').toBe(false);
        },
      ),
      { numRuns: 3_000 },
    );
    // Otherwise the property above would say nothing.
    expect(narrowed).toBeGreaterThan(200);
  });

  test('no address', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const network = fc
      .tuple(fc.integer({ min: 0, max: 3 }), octet, fc.integer({ min: 20, max: 32 }))
      .map(([third, fourth, bits]) => `10.0.${third}.${fourth}/${bits}`);
    const networks = fc.array(network, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        networks,
        networks,
        fc.tuple(fc.integer({ min: 0, max: 3 }), octet),
        (from, to, [c, d]) => {
          const before = { ...FULL, networks: from };
          if (widens(changesBetween(aGrant({ spec: before }), { ...before, networks: to }))) return;
          const address = `10.0.${c}.${d}`;
          expect(!isInNetworks(address, to) || isInNetworks(address, from)).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
