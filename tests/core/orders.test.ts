import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_RULES, LEVEL_NAMES } from '../../src/core/authority-rules.ts';
import { effectOf, refusalByOrders, refusalOfLifted } from '../../src/core/orders/effect.ts';
import {
  isInForce,
  missingOf,
  orderSpecSchema,
  ownEnd,
  type Order,
} from '../../src/core/orders/order.ts';
import { narrowerOrders } from '../../src/core/orders/narrower.ts';
import { scaledCaps } from '../../src/core/orders/scaled-caps.ts';
import {
  isWithinSelector,
  selectorSchema,
  selects,
  type OrderSubject,
  type Selector,
} from '../../src/core/orders/selector.ts';
import { bandOf, suggestedLevel, type Severity } from '../../src/core/orders/severity.ts';
import {
  decideLift,
  decideOrder,
  decideRatification,
  decideSupplement,
  partOf,
  refusalOfLowering,
  ruleOf,
  timesOf,
  timesOfLowered,
  type Acting,
} from '../../src/core/orders/steps.ts';
import { budgetsSchema, limitsSchema } from '../../src/core/limits.ts';
import type { Member } from '../../src/core/people.ts';
import {
  HOST,
  LEAD,
  NOW,
  HOUR,
  PARTNER,
  OTHER_PARTNER,
  RESEARCHER,
  aMember,
  anOrder,
  at,
  idOf,
} from '../support/facts.ts';

const SAFETY = aMember(HOST, 'safety', 'safety');
const SECOND = aMember(HOST, 'second', 'safety');
const ADMIN = aMember(HOST, 'admin', 'admin');
const EXECUTIVE = aMember(HOST, 'executive', 'executive');
const AUDITOR = aMember(HOST, 'auditor', 'auditor');
const THEIRS = aMember(PARTNER, 'theirs', 'safety');

const acting = (actor: Member, level: number): Acting => ({
  actor,
  rules: DEFAULT_RULES,
  rule: ruleOf(DEFAULT_RULES, { level }, undefined),
});

const GRANT = idOf('grt', 'one');
const SUBJECT: OrderSubject = {
  grantId: GRANT,
  labId: PARTNER.id,
  person: { ...RESEARCHER.person, attributes: { export_status: 'X', employer: 'Acme' } },
  endpoint: 'demo',
  model: 'model-a-1',
  purpose: 'hallucination',
  runId: idOf('run', 'one'),
  features: ['tools', 'streaming'],
  address: '192.0.2.7',
  tokenId: idOf('tok', 'one'),
};

/** A part of each kind: one that the subject has, one that it has not. */
const PARTS: [Selector, Selector][] = [
  [{ grant: GRANT }, { grant: idOf('grt', 'two') }],
  [{ lab: PARTNER.id }, { lab: OTHER_PARTNER.id }],
  [{ endpoint: 'demo' }, { endpoint: 'other' }],
  [{ model: 'model-a-1' }, { model: 'model-b-1' }],
  [{ person: RESEARCHER.person.id }, { person: LEAD.person.id }],
  [{ purpose: 'hallucination' }, { purpose: 'scheming' }],
  [{ run: idOf('run', 'one') }, { run: idOf('run', 'two') }],
  [{ token: idOf('tok', 'one') }, { token: idOf('tok', 'two') }],
  [{ feature: 'tools' }, { feature: 'images' }],
  [{ network: '192.0.2.0/24' }, { network: '198.51.100.0/24' }],
  [
    { attributes: [{ name: 'export_status', is: ['X', 'Y'], unknown: 'matches' }] },
    { attributes: [{ name: 'export_status', is: ['Z'], unknown: 'matches' }] },
  ],
];

const about = (selector: Selector): { selector: Selector; safeguardAt: null } => ({
  selector,
  safeguardAt: null,
});

describe('a selector', () => {
  test.each(PARTS)('%j selects what has it, %j what has that', (has, hasNot) => {
    expect(selectorSchema.parse(has)).toEqual(has);
    expect(selects(about(has), SUBJECT)).toBe(true);
    expect(selects(about(hasNot), SUBJECT)).toBe(false);
    expect(selects(about({ all: true }), SUBJECT)).toBe(true);
  });

  test('of several parts selects what has all of them', () => {
    const chosen = fc.array(fc.tuple(fc.nat(PARTS.length - 1), fc.boolean()), { minLength: 1 });
    fc.assert(
      fc.property(chosen, (choice) => {
        const parts = new Map(choice.map(([i, has]) => [i, has]));
        const selector = Object.assign(
          {},
          ...[...parts].map(([i, has]) => PARTS[i]?.[has ? 0 : 1]),
        ) as Selector;
        const all = [...parts.values()].every(Boolean);
        expect(selects(about(selector), SUBJECT)).toBe(all);
      }),
    );
  });

  test('about a part that a subject lacks does not select it', () => {
    const grant = { grantId: GRANT, labId: PARTNER.id };
    for (const [has] of PARTS.slice(2)) expect(selects(about(has), grant)).toBe(false);
  });

  test('takes an attribute that is not known for a match, unless told otherwise', () => {
    const of = (unknown: 'matches' | 'spared'): Selector => ({
      attributes: [{ name: 'training', is: ['done'], unknown }],
    });
    expect(selects(about(of('matches')), SUBJECT)).toBe(true);
    expect(selects(about(of('spared')), SUBJECT)).toBe(false);
    expect(selectorSchema.parse({ attributes: [{ name: 'a', is: ['b'] }] })).toEqual({
      attributes: [{ name: 'a', is: ['b'], unknown: 'matches' }],
    });
  });

  test('by safeguard is about the endpoints that lift it', () => {
    const selector: Selector = { safeguard: 'filter' };
    expect(selects({ selector, safeguardAt: ['demo'] }, SUBJECT)).toBe(true);
    expect(selects({ selector, safeguardAt: [] }, SUBJECT)).toBe(false);
  });

  test.each([
    {},
    { all: false },
    { all: true, lab: PARTNER.id },
    { grant: PARTNER.id },
    { lab: 'Partner Lab' },
    { endpoint: '' },
    { everything: true },
    { attributes: [] },
    { network: '192.0.2.7' },
    null,
    'all',
  ])('%j is none', (value) => {
    expect(selectorSchema.safeParse(value).success).toBe(false);
  });

  test('lies within another where it has every part of it', () => {
    expect(isWithinSelector({ lab: PARTNER.id, model: 'm' }, { lab: PARTNER.id })).toBe(true);
    expect(isWithinSelector({ lab: PARTNER.id }, { lab: PARTNER.id, model: 'm' })).toBe(false);
    expect(isWithinSelector({ lab: PARTNER.id }, { all: true })).toBe(true);
    expect(isWithinSelector({ all: true }, { lab: PARTNER.id })).toBe(false);
    const some = (is: string[]): Selector => ({
      attributes: [{ name: 'a', is, unknown: 'spared' }],
    });
    expect(isWithinSelector(some(['x']), some(['x', 'y']))).toBe(true);
    expect(isWithinSelector(some(['x', 'y']), some(['x']))).toBe(false);
  });
});

describe('what orders come to', () => {
  const refused = (...orders: Order[]): string | undefined =>
    refusalByOrders(orders, SUBJECT, NOW)?.code;

  test('a refusal names the orders, explains itself, and says whom to ask', () => {
    const order = anOrder(
      'o',
      { attributes: [{ name: 'export_status', is: ['X'], unknown: 'spared' }] },
      { level: 3 },
    );
    expect(refusalByOrders([order], SUBJECT, NOW)).toMatchObject({
      code: 'person_suspended',
      message: `Access of this person is suspended by an order (${order.id}; level 3, suspend narrowly; person attribute export_status=X). Ask the host lab.`,
      orders: [order.id],
    });
  });

  test.each(PARTS.map(([has, hasNot]) => [has, hasNot] as const))(
    'an order about %j stops it, one about %j does not',
    (has, hasNot) => {
      expect(refused(anOrder('o', has))).toBeDefined();
      expect(refused(anOrder('o', hasNot))).toBeUndefined();
    },
  );

  test('is the same in whatever order they stand, and with whatever else', () => {
    const all = PARTS.flatMap(([has, hasNot], i) => [
      anOrder(`a${i}`, has),
      anOrder(`b${i}`, hasNot),
    ]);
    const some = fc.shuffledSubarray(all);
    fc.assert(
      fc.property(some, (orders) => {
        const stopping = orders.filter(({ selector }) => selects(about(selector), SUBJECT));
        const found = effectOf(orders, SUBJECT, NOW).stops;
        expect(new Set(found)).toEqual(new Set(stopping));
      }),
    );
  });

  test('a notice and a watch stop nothing; a watch shortens tokens', () => {
    const notice = anOrder('n', { all: true }, { level: 0 });
    const watch = anOrder('w', { all: true }, { level: 1 });
    expect(refused(notice, watch)).toBeUndefined();
    expect(effectOf([notice, watch], SUBJECT, NOW, 300)).toMatchObject({
      tokenSeconds: 300,
      noted: [watch],
    });
  });

  test('a constraint pauses features and purposes, scales limits, puts safeguards back', () => {
    const order = anOrder(
      'c',
      { lab: PARTNER.id },
      {
        level: 2,
        measures: {
          features: ['images'],
          purposes: ['scheming'],
          limitsPercent: 50,
          putBack: ['f'],
        },
      },
    );
    const effect = effectOf([order], SUBJECT, NOW);
    expect(refused(order)).toBeUndefined();
    expect(refusalByOrders([order], { ...SUBJECT, features: ['images'] }, NOW)).toMatchObject({
      code: 'feature_suspended',
      param: 'images',
    });
    expect(refusalByOrders([order], { ...SUBJECT, purpose: 'scheming' }, NOW)?.code).toBe(
      'purpose_suspended',
    );
    expect(refusalOfLifted(effect, [])?.code).toBe('safeguard_put_back');
    expect(refusalOfLifted(effect, ['f'])).toBeNull();
  });

  test('limits are scaled for all, or for each person that an order is about', () => {
    const caps = (requestsPerMinute: number | null) => ({
      limits: limitsSchema.parse({ requestsPerMinute }),
      budgets: budgetsSchema.parse({}),
    });
    const scale = (selector: Selector) => [
      { percent: 50, order: anOrder('s', selector, { level: 2 }) },
    ];
    const given = (selector: Selector) =>
      scaledCaps(
        [
          { scope: 'grant', ...caps(60) },
          { scope: 'person', ...caps(null) },
        ],
        scale(selector),
      ).map(({ limits }) => limits.requestsPerMinute);
    expect(given({ grant: GRANT })).toEqual([30, 30]);
    expect(given({ person: RESEARCHER.person.id })).toEqual([60, 30]);
  });

  test('what is over has none', () => {
    const order = anOrder('o', { all: true }, { lapsesAt: NOW + HOUR });
    expect(refusalByOrders([order], SUBJECT, NOW + HOUR - 1)).not.toBeNull();
    expect(refusalByOrders([order], SUBJECT, NOW + HOUR)).toBeNull();
    expect(isInForce({ ...order, endedAt: NOW }, NOW)).toBe(false);
  });
});

describe('an order', () => {
  const spec = (changes: object): boolean =>
    orderSpecSchema.safeParse({ selector: { lab: PARTNER.id }, grounds: 'x', ...changes }).success;

  test.each([
    [{ level: 4 }, true],
    [{ level: 6 }, false],
    [{ level: 2 }, false],
    [{ level: 2, measures: { limitsPercent: 50 } }, true],
    [{ level: 4, measures: { limitsPercent: 50 } }, false],
    [{ level: 3 }, false],
    [{ level: 3, selector: { lab: PARTNER.id, purpose: 'scheming' } }, true],
    [{ level: 5 }, false],
    [{ level: 5, selector: { model: 'm' } }, true],
    [{ authority: { kind: 'legal' } }, false],
    [{ authority: { kind: 'legal', instrument: 'File 12/26' } }, true],
    [{ grounds: '' }, false],
  ])('%j is well formed: %s', (changes, sound) => {
    expect(spec(changes)).toBe(sound);
  });

  test('two levels above its severity asks why lower ones fail; nothing is prevented', () => {
    const severity: Severity = {
      exploitation: 'theoretical',
      breadth: 'low',
      capability: 'low',
      ease: 'low',
      discoverability: 'high',
    };
    expect([bandOf(severity), suggestedLevel(severity)]).toEqual(['low', 1]);
    const order = orderSpecSchema.parse({
      level: 3,
      selector: { purpose: 'scheming' },
      grounds: 'x',
      severity,
    });
    expect(missingOf(order)).toEqual(['evidence', 'whyNotLower']);
    expect(missingOf({ ...order, level: 2 })).toEqual(['evidence']);
    expect(missingOf({ ...order, severity: undefined })).toEqual(['evidence', 'severity']);
  });

  test('what is worse never speaks for less', () => {
    const grades = ['low', 'medium', 'high'] as const;
    const vector = fc.record({
      exploitation: fc.constantFrom('theoretical' as const, 'exploited' as const),
      breadth: fc.constantFrom(...grades),
      capability: fc.constantFrom(...grades),
      ease: fc.constantFrom(...grades),
      discoverability: fc.constantFrom(...grades),
    });
    fc.assert(
      fc.property(vector, (severity) => {
        const worse = { ...severity, exploitation: 'exploited' as const };
        expect(suggestedLevel(worse)).toBeGreaterThanOrEqual(suggestedLevel(severity));
        for (const part of ['breadth', 'capability', 'ease', 'discoverability'] as const)
          expect(suggestedLevel({ ...severity, [part]: 'high' })).toBeGreaterThanOrEqual(
            suggestedLevel(severity),
          );
      }),
    );
  });
});

describe('narrower orders', () => {
  const endpoints = [
    { id: 'demo', models: ['m'], alternatives: [{ restores: ['filter'], models: { m: 'g' } }] },
  ];
  const order = (changes: object) =>
    orderSpecSchema.parse({ selector: { lab: PARTNER.id }, grounds: 'x', ...changes });

  test('are well formed, and less than the one that they would spare', () => {
    const wide = order({ level: 4 });
    const finding = { person: RESEARCHER.person.id, model: 'm', feature: 'tools' as const };
    const found = narrowerOrders(wide, finding, endpoints);
    for (const { because: _, ...one } of found) {
      expect(orderSpecSchema.safeParse({ ...wide, ...one }).success).toBe(true);
      expect(refusalOfLowering(anOrder('w', wide.selector), one)).toBeNull();
    }
    expect(found.map(({ level, measures, selector }) => [level, measures, selector])).toEqual([
      [1, {}, { lab: PARTNER.id }],
      [2, { putBack: ['filter'] }, { lab: PARTNER.id, endpoint: 'demo' }],
      [2, { features: ['tools'] }, { person: RESEARCHER.person.id, model: 'm', lab: PARTNER.id }],
      [2, { limitsPercent: 50 }, { lab: PARTNER.id }],
      [3, {}, { lab: PARTNER.id, person: RESEARCHER.person.id }],
      [3, {}, { lab: PARTNER.id, feature: 'tools' }],
      [3, {}, { lab: PARTNER.id, model: 'm' }],
    ]);
  });

  test('to put a safeguard back stops the models for which nothing does, and says so', () => {
    const two = [{ ...endpoints[0]!, models: ['m', 'n'] }];
    const why = (changes: object): string | undefined =>
      narrowerOrders(order({ level: 4, ...changes }), undefined, two).find(
        ({ measures }) => measures.putBack,
      )?.because;
    expect(why({})).toBe(
      'puts the safeguard filter back at demo, and stops n, for which nothing does',
    );
    expect(why({ selector: { model: 'm' } })).toBe(
      'puts the safeguard filter back at demo and stops nobody',
    );
  });

  test('there are none below a constraint', () => {
    expect(narrowerOrders(order({ level: 1 }), { model: 'm' }, endpoints)).toEqual([]);
  });
});

describe('who issues an order', () => {
  const issued = (actor: Member, changes: object, person = RESEARCHER.person): string => {
    const spec = orderSpecSchema.parse({ selector: { model: 'm' }, grounds: 'x', ...changes });
    return decideOrder(spec, acting(actor, spec.level), { person })?.code ?? 'issued';
  };
  const narrow = { level: 3, selector: { person: RESEARCHER.person.id } };

  test.each([
    ['a researcher a notice', RESEARCHER, { level: 0 }, 'issued'],
    ['an auditor a watch', AUDITOR, { level: 1 }, 'issued'],
    ['an admin a watch', ADMIN, { level: 1 }, 'role_required'],
    ['a safety officer a suspension', SAFETY, { level: 4 }, 'issued'],
    ['an admin a suspension', ADMIN, { level: 4 }, 'role_required'],
    ['an executive a recall', EXECUTIVE, { level: 5 }, 'issued'],
    ['an auditor a recall', AUDITOR, { level: 5 }, 'issued'],
    ['a safety officer a recall', SAFETY, { level: 5 }, 'role_required'],
    [
      'a safety officer a legal recall',
      SAFETY,
      { level: 5, authority: { kind: 'legal', instrument: 'File 1' } },
      'issued',
    ],
    ['a safety officer of the partner, about their own', THEIRS, narrow, 'issued'],
    ['the lead', LEAD, narrow, 'role_required'],
    [
      'a safety officer of the partner, about everybody',
      THEIRS,
      { level: 3, selector: { purpose: 'scheming' } },
      'role_required',
    ],
  ])('%s: %j', (_, actor, changes, expected) => {
    const named = 'selector' in changes && 'person' in (changes.selector as object);
    const foreign = { ...RESEARCHER.person, labId: HOST.id };
    expect(issued(actor, changes, named ? RESEARCHER.person : foreign)).toBe(expected);
  });

  test('a grant can say otherwise for the orders that name it', () => {
    const rule = ruleOf(
      DEFAULT_RULES,
      { level: 3 },
      {
        orderRules: { suspend_narrowly: { lapse: '48h' } },
      },
    );
    const lapse = timesOf(
      orderSpecSchema.parse({ ...narrow, grounds: 'x' }),
      rule,
      false,
      NOW,
    ).lapsesAt;
    expect(lapse).toBe(NOW + 48 * HOUR);
  });
});

describe('an order is loosened', () => {
  const order = anOrder('o', { all: true }, { issuedBy: SAFETY.person.id, lapsesAt: NOW + HOUR });
  const lift = (one: Order, who: Member): string =>
    decideLift(one, acting(who, one.level), NOW)?.code ?? 'lifted';

  test('by another person than the one who issued it', () => {
    expect(lift(order, SECOND)).toBe('lifted');
    expect(lift(order, SAFETY)).toBe('second_person_needed');
    expect(lift(order, AUDITOR)).toBe('role_required');
  });

  test('once', () => {
    for (const who of [SAFETY, SECOND])
      expect(lift({ ...order, endedAt: 1, endedBecause: 'lifted' }, who)).toBe(
        'order_not_in_force',
      );
  });

  test("by a partner never where it is the host's", () => {
    const narrow = anOrder('n', { person: RESEARCHER.person.id }, { level: 3 });
    expect(lift(narrow, LEAD)).toBe('role_required');
    const own = { ...narrow, issuedBy: THEIRS.person.id, issuedByLab: PARTNER.id };
    expect(lift(own, LEAD)).toBe('lifted');
    expect(lift(own, THEIRS)).toBe('second_person_needed');
  });

  test('at the same level to what asks for nothing that it does not', () => {
    const measures = { limitsPercent: 50, features: ['tools' as const] };
    const wide = anOrder('w', { lab: PARTNER.id }, { level: 2, measures });
    const to = (some: Order['measures']): string =>
      refusalOfLowering(wide, {
        level: 2,
        selector: { lab: PARTNER.id, purpose: 'scheming' },
        measures: some,
      })?.param ?? 'less';
    expect(to({ limitsPercent: 50 })).toBe('less');
    expect(to({ features: ['tools'] })).toBe('less');
    expect(to({ limitsPercent: 49 })).toBe('measures');
    expect(to({ features: ['tools', 'images'] })).toBe('measures');
    expect(to({ putBack: ['filter'] })).toBe('measures');
  });

  test("and completed by a partner never where it is the host's", () => {
    const narrow = anOrder('n', { person: RESEARCHER.person.id }, { level: 3 });
    const completed = orderSpecSchema.parse({
      level: 3,
      selector: narrow.selector,
      grounds: 'x',
      evidence: { class: 'reported' },
    });
    const complete = (one: Order, who: Member): string =>
      decideSupplement(one, completed, acting(who, 3), { person: RESEARCHER.person })?.code ??
      'completed';
    expect(complete(narrow, THEIRS)).toBe('role_required');
    expect(complete(narrow, SECOND)).toBe('completed');
    expect(complete({ ...narrow, issuedByLab: PARTNER.id }, THEIRS)).toBe('completed');
  });

  test('to what is less, and about nothing else', () => {
    const wide = anOrder('w', { lab: PARTNER.id }, { level: 4 });
    const to = (level: number, selector: Selector): string =>
      refusalOfLowering(wide, { level, selector, measures: {} })?.param ?? 'less';
    expect(to(3, { lab: PARTNER.id, purpose: 'scheming' })).toBe('less');
    expect(to(4, { lab: PARTNER.id, purpose: 'scheming' })).toBe('less');
    expect(to(1, { lab: PARTNER.id })).toBe('less');
    expect(to(4, { lab: PARTNER.id })).toBe('level');
    expect(to(5, { lab: PARTNER.id, model: 'm' })).toBe('level');
    expect(to(2, { model: 'm' })).toBe('selector');
  });

  test('to what is an order itself', () => {
    const wide = anOrder('w', { lab: PARTNER.id }, { level: 4 });
    const to = (level: number, measures: Order['measures']): string =>
      refusalOfLowering(wide, { level, selector: { lab: PARTNER.id }, measures })?.param ?? 'less';
    expect(to(2, { features: ['tools'] })).toBe('less');
    // A constraint that constrains nothing, a watch that would constrain, a narrow suspension that is wide.
    expect(to(2, {})).toBe('measures');
    expect(to(1, { features: ['tools'] })).toBe('measures');
    expect(to(3, {})).toBe('selector');
  });

  test('to what ends no later than it would have', () => {
    const to = (end: number | undefined, expiresAt: number | undefined): string =>
      refusalOfLowering(
        anOrder('w', { lab: PARTNER.id }, end === undefined ? {} : { expiresAt: at(end) }),
        {
          level: 2,
          selector: { lab: PARTNER.id },
          measures: { limitsPercent: 50 },
          expiresAt: expiresAt === undefined ? undefined : at(expiresAt),
        },
      )?.param ?? 'less';
    expect(to(NOW + HOUR, NOW + HOUR + 1)).toBe('expiresAt');
    expect(to(NOW + HOUR, NOW + HOUR)).toBe('less');
    expect(to(NOW + HOUR, undefined)).toBe('less');
    expect(to(undefined, NOW + HOUR)).toBe('less');
  });

  test('and lapses when it would have, unless whoever lowers it could have ratified the lesser', () => {
    const suspended = anOrder('s', { lab: PARTNER.id }, { lapsesAt: NOW + HOUR });
    const lapses = (first: Order, level: number, who: Member): number | null => {
      const spec = { ...first, level };
      return timesOfLowered(first, spec, acting(who, level), NOW).lapsesAt;
    };
    // An admin lifts what is of level 4, and ratifies what is of level 3 and below.
    expect(lapses(suspended, 4, ADMIN)).toBe(NOW + HOUR);
    expect(lapses(suspended, 4, SECOND)).toBeNull();
    expect(lapses(suspended, 3, ADMIN)).toBeNull();
    expect(lapses(suspended, 0, ADMIN)).toBeNull();
    expect(lapses({ ...suspended, lapsesAt: null }, 4, ADMIN)).toBeNull();
    const longer = { ...suspended, lapsesAt: NOW + 48 * HOUR };
    expect(lapses(longer, 4, ADMIN)).toBe(NOW + 24 * HOUR);
  });
});

describe('an order is ratified', () => {
  const ratify = (one: Order, who: Member): string =>
    decideRatification(one, acting(who, one.level), NOW)?.code ?? 'ratified';
  const by = (issuer: Member, level: number): Order =>
    anOrder(
      'o',
      { model: 'm' },
      {
        level,
        issuedBy: issuer.person.id,
        issuedAs: partOf(acting(issuer, level)),
        lapsesAt: NOW + HOUR,
      },
    );

  test.each([
    [4, SAFETY, SAFETY, 'second_person_needed'],
    [4, SAFETY, ADMIN, 'role_required'],
    [4, SAFETY, SECOND, 'ratified'],
    [5, EXECUTIVE, AUDITOR, 'ratified'],
    [5, AUDITOR, EXECUTIVE, 'ratified'],
    [5, AUDITOR, aMember(HOST, 'a2', 'auditor'), 'role_required'],
    [5, EXECUTIVE, aMember(HOST, 'e2', 'executive'), 'role_required'],
  ])('of level %i, issued by %o, by %o: %s', (level, issuer, who, expected) => {
    expect(ratify(by(issuer, level), who)).toBe(expected);
  });

  test('and then no longer lapses; a legal one never does', () => {
    const rule = ruleOf(DEFAULT_RULES, { level: 5 }, undefined);
    const spec = orderSpecSchema.parse({ level: 5, selector: { model: 'm' }, grounds: 'x' });
    expect(timesOf(spec, rule, false, NOW)).toMatchObject({ lapsesAt: NOW + 24 * HOUR });
    const ratified = timesOf(spec, rule, true, NOW);
    expect(ratified).toMatchObject({ lapsesAt: null, lapsesUnreviewed: true });
    expect(ownEnd(anOrder('o', { model: 'm' }, ratified))).toMatchObject({
      because: 'review_missed',
    });
    const legal = { ...spec, authority: { kind: 'legal' as const, instrument: 'File 1' } };
    expect(timesOf(legal, rule, false, NOW)).toMatchObject({
      lapsesAt: null,
      lapsesUnreviewed: false,
    });
  });

  test('and then a date of review that went by before does not end it', () => {
    const rule = ruleOf(DEFAULT_RULES, { level: 5 }, undefined);
    const spec = { level: 5, selector: { model: 'm' }, grounds: 'x' };
    const asked = orderSpecSchema.parse({ ...spec, reviewAt: at(NOW - HOUR) });
    const ratified = anOrder('o', { model: 'm' }, timesOf(asked, rule, true, NOW));
    expect(isInForce(ratified, NOW)).toBe(true);
    expect(ratified.reviewDueAt).toBe(
      timesOf(orderSpecSchema.parse(spec), rule, true, NOW).reviewDueAt,
    );
  });

  test('its own end stands, whatever else is said', () => {
    const order = anOrder(
      'o',
      { all: true },
      { expiresAt: at(NOW + HOUR), lapsesAt: NOW + 2 * HOUR },
    );
    expect(ownEnd(order)).toEqual({ at: NOW + HOUR, because: 'expired' });
  });
});

test('every level has a rule', () => {
  LEVEL_NAMES.forEach((name, level) =>
    expect(ruleOf(DEFAULT_RULES, { level }, undefined)).toEqual(DEFAULT_RULES.orders.levels[name]),
  );
});
