import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decideAccess,
  decideIssue,
  grantStanding,
  modelsInForce,
  type AccessFacts,
  type Decision,
} from '../../src/core/access.ts';
import type { DenialCode } from '../../src/core/denials.ts';
import { NOTHING_CONFIGURED } from '../../src/core/configured.ts';
import type { Grant, GrantState } from '../../src/core/grants.ts';
import type { Order } from '../../src/core/orders/order.ts';
import type { Selector } from '../../src/core/orders/selector.ts';
import {
  HOST,
  HOUR,
  LEAD,
  NOW,
  OTHER_PARTNER,
  PARTNER,
  RESEARCHER,
  aGrant,
  aMember,
  aSpec,
  anOrder,
  at,
  idOf,
  type SpecInput,
} from '../support/facts.ts';

const withSpec = (changes: Partial<SpecInput>, rest: Partial<Grant> = {}): Grant =>
  aGrant({ spec: aSpec(changes), ...rest });

/** A request that passes, but for what is changed. */
function facts(changes: Partial<AccessFacts> = {}): AccessFacts {
  return {
    grant: aGrant(),
    ...RESEARCHER,
    purpose: 'hallucination',
    operation: 'chat.completions',
    endpoint: 'demo',
    model: 'model-a-1',
    address: '192.0.2.7',
    narrowing: null,
    bound: false,
    orders: [],
    configured: NOTHING_CONFIGURED,
    ...changes,
  };
}

const codeOf = (decision: Decision): DenialCode | 'allowed' =>
  decision.allowed ? 'allowed' : decision.refusal.code;

describe('a request passes', () => {
  test('when everything about it is as the grant says', () => {
    expect(decideAccess(facts(), NOW)).toEqual({ allowed: true, until: NOW + HOUR });
  });

  test('until the earliest of what ends it', () => {
    const end = fc.integer({ min: 1, max: 10 * HOUR });
    fc.assert(
      fc.property(end, fc.option(end), (windowLeft, rosterLeft) => {
        const until = rosterLeft === null ? {} : { until: at(NOW + rosterLeft) };
        const grant = withSpec({
          window: { from: at(NOW - HOUR), until: at(NOW + windowLeft) },
          people: [{ person: RESEARCHER.person.id, ...until }],
        });
        const earliest = NOW + Math.min(windowLeft, rosterLeft ?? Infinity);
        expect(decideAccess(facts({ grant }), NOW)).toEqual({ allowed: true, until: earliest });
        // And at that very moment it does not pass any more.
        expect(decideAccess(facts({ grant }), earliest - 1).allowed).toBe(true);
        expect(decideAccess(facts({ grant }), earliest).allowed).toBe(false);
      }),
    );
  });
});

test('a person who joined within the cap passes until their place ends', () => {
  const grant = withSpec(
    { people: [{ person: LEAD.person.id }], maxPeople: 2 },
    { joiners: [{ personId: RESEARCHER.person.id, until: NOW + 1000 }] },
  );
  expect(decideAccess(facts({ grant }), NOW)).toEqual({ allowed: true, until: NOW + 1000 });
});

test('a bound token passes where the grant asks for one, and where it does not', () => {
  const grant = withSpec({ binding: 'dpop' });
  expect(decideAccess(facts({ grant, bound: true }), NOW).allowed).toBe(true);
  expect(decideAccess(facts({ bound: true }), NOW).allowed).toBe(true);
});

/** Each way to be refused by the state of things, and what it is told. */
const REFUSALS: [string, DenialCode, Partial<AccessFacts>][] = [
  [
    'a person who was removed',
    'person_removed',
    { person: { ...RESEARCHER.person, removedAt: NOW - 1 } },
  ],
  ['no such grant', 'grant_unknown', { grant: undefined }],
  [
    'a lead of the host lab, even on the roster',
    'grant_unknown',
    aMember(HOST, 'researcher', 'admin'),
  ],
  [
    'the host lab, even if the grant were to name it',
    'grant_unknown',
    {
      ...aMember(HOST, 'insider', 'admin'),
      grant: withSpec({ lab: HOST.id, people: [{ person: idOf('per', 'insider') }] }),
    },
  ],
  [
    'a person who is not on the roster',
    'person_not_on_grant',
    aMember(PARTNER, 'stranger', 'researcher'),
  ],
  [
    'a person whose place on the roster has ended',
    'person_not_on_grant',
    { grant: withSpec({ people: [{ person: RESEARCHER.person.id, until: at(NOW) }] }) },
  ],
  [
    'a person who handed their place back, though the text names them',
    'access_handed_back',
    { grant: aGrant({ leavers: [RESEARCHER.person.id] }) },
  ],
  [
    'a person who joined and handed their place back',
    'access_handed_back',
    {
      grant: withSpec(
        { people: [{ person: LEAD.person.id }], maxPeople: 5 },
        {
          joiners: [{ personId: RESEARCHER.person.id, until: null }],
          leavers: [RESEARCHER.person.id],
        },
      ),
    },
  ],
  [
    'a person who joined until now',
    'person_not_on_grant',
    {
      grant: withSpec(
        { people: [{ person: LEAD.person.id }], maxPeople: 5 },
        { joiners: [{ personId: RESEARCHER.person.id, until: NOW }] },
      ),
    },
  ],
  [
    'a token that is not bound, where the grant asks for it',
    'dpop_required',
    { grant: withSpec({ binding: 'dpop' }) },
  ],
  [
    'an operation that the token gave up',
    'operation_not_granted',
    { narrowing: { operations: ['messages'] } },
  ],
  ['a model that the token gave up', 'model_not_granted', { narrowing: { models: ['model-b-1'] } }],
  [
    'a model that the token asked for and the grant has no more',
    'model_not_granted',
    { model: 'model-c-1', narrowing: { models: ['model-c-1'] } },
  ],
  ['a purpose that is not named', 'purpose_not_granted', { purpose: 'bias' }],
  ['a purpose that is excluded', 'purpose_not_granted', { purpose: 'scheming' }],
  ['an operation that is not named', 'operation_not_granted', { operation: 'models' }],
  ['a model that is not named', 'model_not_granted', { model: 'model-c-1' }],
  ['a model that differs in case', 'model_not_granted', { model: 'Model-A-1' }],
  ['a model that begins the same', 'model_not_granted', { model: 'model-a' }],
  ['a model at another endpoint', 'model_not_granted', { endpoint: 'other' }],
  ['a model without an endpoint', 'model_not_granted', { endpoint: undefined }],
  [
    'another network',
    'network_not_allowed',
    { grant: withSpec({ networks: ['198.51.100.0/24'] }) },
  ],
  [
    'an address that cannot be read',
    'network_not_allowed',
    { grant: withSpec({ networks: ['0.0.0.0/0', '::/0'] }), address: 'unknown' },
  ],
  [
    'a window that has not begun',
    'grant_not_started',
    { grant: withSpec({ window: { from: at(NOW + 1), until: at(NOW + HOUR) } }) },
  ],
  [
    'a window that has ended',
    'grant_expired',
    { grant: withSpec({ window: { from: at(NOW - HOUR), until: at(NOW) } }) },
  ],
  ['a grant that was revoked', 'grant_revoked', { grant: aGrant({ state: 'revoked' }) }],
  ['a grant that was handed back', 'grant_closed', { grant: aGrant({ state: 'closed' }) }],
  ...(['draft', 'submitted', 'returned', 'approved', 'rejected', 'withdrawn'] as const).map(
    (state): (typeof REFUSALS)[number] => [
      `a grant that is ${state}`,
      'grant_not_active',
      { grant: aGrant({ state }) },
    ],
  ),
  ['an order on everything', 'access_suspended', { orders: [anOrder('o', { all: true })] }],
  [
    'an order on the grant',
    'grant_suspended',
    { orders: [anOrder('o', { grant: idOf('grt', 'one') })] },
  ],
  ['an order on the lab', 'lab_suspended', { orders: [anOrder('o', { lab: PARTNER.id })] }],
  [
    'an order on the person',
    'person_suspended',
    { orders: [anOrder('o', { person: RESEARCHER.person.id })] },
  ],
  [
    'an order on the endpoint',
    'endpoint_suspended',
    { orders: [anOrder('o', { endpoint: 'demo' })] },
  ],
  ['an order on the model', 'model_suspended', { orders: [anOrder('o', { model: 'model-a-1' })] }],
];

describe('a request is refused for', () => {
  test.each(REFUSALS)('%s: %s', (_why, code, changes) => {
    expect(codeOf(decideAccess(facts(changes), NOW))).toBe(code);
  });

  test('nothing that a token was not refused for, unless it is about the request', () => {
    const ofRequest = new Set<DenialCode>([
      'operation_not_granted',
      'model_not_granted',
      'network_not_allowed',
      'endpoint_suspended',
      'model_suspended',
    ]);
    for (const [, code, changes] of REFUSALS)
      // An order on all that a grant covers stops the grant, and so its tokens, too.
      expect(ofRequest.has(code) ? ['allowed', code] : [code]).toContain(
        codeOf(decideIssue(facts(changes), NOW)),
      );
  });

  test('terms that were not accepted, with the grant whose they are', () => {
    const grant = aGrant({ acceptedBy: [] });
    expect(decideIssue(facts({ grant }), NOW)).toMatchObject({
      refusal: {
        code: 'terms_not_accepted',
        message: expect.stringContaining(`grant accept ${grant.id}"`) as string,
      },
    });
  });

  test('an order that names something else: not at all', () => {
    const elsewhere: Selector[] = [
      { grant: idOf('grt', 'two') },
      { lab: OTHER_PARTNER.id },
      { person: LEAD.person.id },
      { endpoint: 'other' },
      { model: 'model-b-1' },
    ];
    const orders = elsewhere.map((selector, i) => anOrder(`o${i}`, selector));
    expect(decideAccess(facts({ orders }), NOW).allowed).toBe(true);
  });

  test('several orders: every one that applies is named', () => {
    const orders = [
      anOrder('a', { lab: PARTNER.id }),
      anOrder('b', { lab: OTHER_PARTNER.id }),
      anOrder('c', { all: true }),
      anOrder('d', { grant: idOf('grt', 'one') }),
    ];
    const decision = decideAccess(facts({ orders }), NOW);
    const ids = ['a', 'c', 'd'].map((name) => idOf('ord', name));
    expect(decision).toMatchObject({ allowed: false, refusal: { orders: ids } });
    for (const id of ids) expect(JSON.stringify(decision)).toContain(id);
    expect(JSON.stringify(decision)).not.toContain(idOf('ord', 'b'));
  });
});

describe('a token that gave up models', () => {
  const grant = withSpec({
    endpoints: [
      { endpoint: 'demo', models: ['model-a-1', 'model-b-1'] },
      { endpoint: 'other', models: ['model-c-1'] },
    ],
  });
  const held = (models: string[], ...selectors: Selector[]): AccessFacts & { grant: Grant } => ({
    ...facts({
      narrowing: { models },
      orders: selectors.map((selector, i) => anOrder(`o${i}`, selector)),
    }),
    grant,
  });
  const A: Selector = { model: 'model-a-1' };
  const DEMO: Selector = { endpoint: 'demo' };

  test.each<[string[], Selector[], string]>([
    [['model-a-1'], [A], 'model_suspended'],
    [['model-a-1'], [DEMO], 'endpoint_suspended'],
    [['model-a-1', 'model-b-1'], [DEMO], 'endpoint_suspended'],
    [['model-a-1', 'model-b-1'], [A, { model: 'model-b-1' }], 'model_suspended'],
    [['model-a-1', 'model-c-1'], [A, { endpoint: 'other' }], 'model_suspended'],
    [['model-c-1'], [A, DEMO], 'allowed'],
    [['model-a-1', 'model-b-1'], [A], 'allowed'],
    [['model-a-1', 'model-c-1'], [DEMO], 'allowed'],
  ])('to have %j, under orders on %j: %s', (models, selectors, code) => {
    const decision = decideIssue(held(models, ...selectors), NOW);
    expect(codeOf(decision)).toBe(code);
    // What stops its first model is named.
    const orders = decision.allowed ? [] : decision.refusal.orders;
    expect(orders).toEqual(code === 'allowed' ? [] : [idOf('ord', 'o0')]);
  });

  test('is not stopped by what stops only the others of its grant', () => {
    const input = held(['model-c-1'], DEMO);
    expect(codeOf(decideIssue(input, NOW))).toBe('allowed');
    expect(codeOf(decideIssue({ ...input, narrowing: null }, NOW))).toBe('allowed');
    expect(codeOf(decideIssue({ ...input, narrowing: { operations: [] } }, NOW))).toBe('allowed');
  });

  test('is worth nothing where its grant has none of them any more', () => {
    expect(codeOf(decideIssue(held(['model-z-1']), NOW))).toBe('model_not_granted');
  });

  test('lists the models that no order stops, and says why the first of the others is', () => {
    const all = ['model-a-1', 'model-b-1', 'model-c-1'];
    expect(modelsInForce(held(all), NOW)).toEqual({ models: all, stopped: null });
    const one = modelsInForce(held(all, { endpoint: 'other' }, A), NOW);
    expect(one).toMatchObject({ models: ['model-b-1'], stopped: { code: 'model_suspended' } });
    expect(one.stopped?.orders).toEqual([idOf('ord', 'o1')]);
    const wide = { ...held([], DEMO), narrowing: null };
    expect(modelsInForce(wide, NOW).models).toEqual(['model-c-1']);
    const stopped = modelsInForce(held(all, { person: RESEARCHER.person.id }), NOW);
    expect(stopped).toMatchObject({ models: [], stopped: { code: 'person_suspended' } });
  });

  test('gets what it lists, and nothing that it does not', () => {
    const models = fc.subarray(['model-a-1', 'model-b-1', 'model-c-1'], { minLength: 1 });
    const selectors = fc.subarray<Selector>([
      A,
      { model: 'model-b-1' },
      { model: 'model-c-1' },
      DEMO,
      { endpoint: 'other' },
    ]);
    fc.assert(
      fc.property(models, selectors, (some, inForce) => {
        const input = held(some, ...inForce);
        const listed = modelsInForce(input, NOW).models;
        const passing = grant.spec.endpoints.flatMap(({ endpoint, models: names }) =>
          names.filter((model) => decideAccess({ ...input, endpoint, model }, NOW).allowed),
        );
        expect(passing).toEqual(listed);
        expect(decideIssue(input, NOW).allowed).toBe(listed.length > 0);
      }),
    );
  });
});

describe('a safeguard that is to be put back', () => {
  const grant = withSpec({
    endpoints: [
      { endpoint: 'demo', models: ['model-a-1', 'model-b-1'] },
      { endpoint: 'other', models: ['model-c-1'] },
    ],
  });
  const putBack = (...safeguards: string[]): Order =>
    anOrder('back', { grant: grant.id }, { level: 2, measures: { putBack: safeguards } });
  const asked = (
    order: Order,
    models: Record<string, string[]>,
  ): AccessFacts & { grant: Grant } => {
    const putsBack = new Map(
      Object.entries(models).map(([endpoint, names]) => [
        endpoint,
        [{ restores: ['filter'], models: Object.fromEntries(names.map((one) => [one, one])) }],
      ]),
    );
    return {
      ...facts({ orders: [order], configured: { ...NOTHING_CONFIGURED, putsBack } }),
      grant,
    };
  };

  test.each<[string[], Record<string, string[]>, string[]]>([
    [['filter'], {}, []],
    [['filter'], { demo: ['model-a-1'] }, ['model-a-1']],
    // Of the endpoint that has it, not of another one.
    [['filter'], { other: ['model-a-1'] }, []],
    [['filter', 'classifier'], { demo: ['model-a-1', 'model-b-1'], other: ['model-c-1'] }, []],
    [
      ['filter'],
      { demo: ['model-a-1', 'model-b-1'], other: ['model-c-1'] },
      ['model-a-1', 'model-b-1', 'model-c-1'],
    ],
  ])('%j, where there are %j: the models are %j', (safeguards, models, left) => {
    const input = asked(putBack(...safeguards), models);
    expect(modelsInForce(input, NOW).models).toEqual(left);
    // A grant of which nothing passes is not shown as one that is active.
    const standing = grantStanding(grant, input.orders, NOW, input.configured);
    expect(standing.status).toBe(left.length === 0 ? 'suspended' : 'active');
    expect(codeOf(decideIssue(input, NOW))).toBe(
      left.length === 0 ? 'safeguard_put_back' : 'allowed',
    );
  });
});

describe('grants that overlap are independent', () => {
  const one = aGrant();
  const two = aGrant({ id: idOf('grt', 'two') });

  test('an order on the one leaves the other', () => {
    const orders = [anOrder('o', { grant: one.id })];
    expect(decideAccess(facts({ grant: one, orders }), NOW).allowed).toBe(false);
    expect(decideAccess(facts({ grant: two, orders }), NOW).allowed).toBe(true);
  });

  test('the end of the one leaves the other', () => {
    const window = { from: at(NOW - HOUR), until: at(NOW) };
    const ended = withSpec({ window });
    expect(codeOf(decideAccess(facts({ grant: ended }), NOW))).toBe('grant_expired');
    expect(decideAccess(facts({ grant: two }), NOW)).toEqual({ allowed: true, until: NOW + HOUR });
  });
});

describe('labs are apart', () => {
  test('a grant of another lab is told from one that does not exist by nothing', () => {
    const foreign = aMember(OTHER_PARTNER, 'foreign', 'researcher');
    const grant = withSpec({ people: [{ person: foreign.person.id }] });
    for (const state of ['active', 'revoked', 'draft'] as const)
      expect(decideIssue(facts({ ...foreign, grant: { ...grant, state } }), NOW)).toEqual(
        decideIssue(facts({ ...foreign, grant: undefined }), NOW),
      );
  });
});

describe('invariant 8: the status that is shown is the one that is enforced', () => {
  const state = fc.constantFrom<GrantState>(
    'draft',
    'submitted',
    'returned',
    'approved',
    'active',
    'active',
    'active',
    'rejected',
    'revoked',
    'closed',
  );
  const grants: fc.Arbitrary<Grant> = fc
    .tuple(state, fc.integer({ min: -5, max: 5 }), fc.integer({ min: 1, max: 5 }))
    .map(([now, from, length]) =>
      withSpec(
        { window: { from: at(NOW + from * HOUR), until: at(NOW + (from + length) * HOUR) } },
        { state: now },
      ),
    );
  const selectors = fc.constantFrom<Selector>(
    { all: true },
    { grant: idOf('grt', 'one') },
    { grant: idOf('grt', 'two') },
    { lab: PARTNER.id },
    { lab: OTHER_PARTNER.id },
    { person: RESEARCHER.person.id },
    { person: LEAD.person.id },
    { endpoint: 'demo' },
    { model: 'model-a-1' },
  );
  const orders: fc.Arbitrary<Order[]> = fc
    .array(selectors, { maxLength: 3 })
    .map((list) => list.map((selector, i) => anOrder(`o${i}`, selector)));

  test('what does not stand is refused, for the reason that is shown', () => {
    fc.assert(
      fc.property(grants, orders, fc.integer({ min: -9, max: 9 }), (grant, inForce, hours) => {
        const now = NOW + hours * HOUR;
        const standing = grantStanding(grant, inForce, now, NOTHING_CONFIGURED);
        expect(standing.refusal === null).toBe(standing.status === 'active');
        const input = facts({ grant, orders: inForce });
        // What stands is refused only for what concerns the person or the model.
        const issue = standing.refusal ? [standing.refusal.code] : ['allowed', 'person_suspended'];
        // What orders stop between them is told of by those that stop the request.
        const access =
          standing.refusal && !standing.refusal.orders
            ? issue
            : [...issue, 'person_suspended', 'endpoint_suspended', 'model_suspended'];
        expect(issue).toContain(codeOf(decideIssue(input, now)));
        expect(access).toContain(codeOf(decideAccess(input, now)));
      }),
      { numRuns: 1_000 },
    );
  });

  test('an order more never allows more', () => {
    fc.assert(
      fc.property(grants, orders, selectors, (grant, inForce, selector) => {
        const before = decideAccess(facts({ grant, orders: inForce }), NOW);
        const after = decideAccess(
          facts({ grant, orders: [...inForce, anOrder('more', selector)] }),
          NOW,
        );
        expect(before.allowed || !after.allowed).toBe(true);
      }),
    );
  });
});
