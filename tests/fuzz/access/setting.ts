/** The world in which it happens: endpoints, rules, labs and people, all of them made once. */
import { createLab, createPerson, initialise } from '../../../src/broker/manage-people.ts';
import { createGrant, stepGrant } from '../../../src/broker/manage-grants.ts';
import { grantSpecSchema, type GrantSpec } from '../../../src/core/grants.ts';
import type { Lab, Role } from '../../../src/core/people.ts';
import { thumbprintOf } from '../../../src/oauth/client-assertion.ts';
import { LocalBroker, localConfig } from '../../support/local-broker.ts';
import { makeKey } from '../../support/people.ts';
import { DEMO_ENDPOINT } from '../../support/test-broker.ts';
import type { Model, ModelGrant, ModelPerson } from './state.ts';

/** A Monday, so that working days come out differently from days. */
export const BEGIN = Date.parse('2026-06-15T08:00:00.000Z');
export const HOUR = 3_600_000;
export const instant = (ms: number): string => new Date(ms).toISOString();

/** Never granted, by the configuration. */
export const NEVER = { model: 'model-z-1', purpose: 'misuse_uplift' } as const;

/** Safeguards that are lifted, by endpoint. */
export const LIFTED: Record<string, readonly string[]> = {
  demo: ['output-classifier'],
  other: ['output-classifier', 'input-filter'],
};

/** Safeguards that an alternative of the endpoint puts back. */
/** The one model that can be had with a safeguard put back. */
export const WITH_ALTERNATIVE = 'model-a-1';

export const RESTORED_BY: Record<string, readonly string[]> = { demo: ['output-classifier'] };

/** Endpoints whose grants need more than the usual approvals. */
export const ALSO_NEEDED: Record<string, readonly Role[]> = { other: ['executive'] };

export const ENDPOINT_OF: Record<string, string> = {
  'model-a-1': 'demo',
  'model-b-1': 'demo',
  [NEVER.model]: 'demo',
  'model-c-1': 'other',
};

/** The one network that grants and orders name here. */
export const NETWORK = '192.0.2.0/24';
export const ADDRESSES = ['192.0.2.7', '203.0.113.9'] as const;
export const inTestNetwork = (address: string): boolean => address.startsWith('192.0.2.');

const lifted = (endpoint: string) =>
  (LIFTED[endpoint] ?? []).map((safeguard) => ({ safeguard, reason: 'A test', owner: 'A. Owner' }));

export const CONFIG = localConfig({
  endpoints: [
    {
      ...DEMO_ENDPOINT,
      models: ['model-a-1', 'model-b-1', NEVER.model],
      safeguardsLifted: lifted('demo'),
      alternatives: [
        { restores: ['output-classifier'], models: { [WITH_ALTERNATIVE]: 'model-a-1-safe' } },
      ],
    },
    {
      ...DEMO_ENDPOINT,
      id: 'other',
      models: ['model-c-1'],
      safeguardsLifted: lifted('other'),
      approvals: ['executive'],
    },
  ],
  neverGrant: { models: [NEVER.model], purposes: [NEVER.purpose] },
});

/** Terms by the number of their text. */
export const terms = (number: number): GrantSpec['terms'] => ({
  version: String(number),
  text: `Results stay between the two labs. Text ${number}.`,
});

export interface World {
  template: LocalBroker;
  /** As it is when a sequence begins; to be copied. */
  model: Model;
}

const ATTRIBUTES: Record<string, Record<string, string>> = {
  'A researcher 1': { export_status: 'restricted', employer: 'A' },
  'A researcher 2': { export_status: 'cleared' },
  'B researcher 1': { export_status: 'restricted' },
};

const PEOPLE: [lab: string, name: string, ...roles: Role[]][] = [
  ['host', 'second admin', 'admin'],
  ['host', 'two hats', 'admin', 'safety'],
  ['host', 'safety', 'safety'],
  ['host', 'second safety', 'safety'],
  ['host', 'executive', 'executive'],
  ['host', 'host auditor', 'auditor'],
  ['host', 'host researcher', 'researcher'],
  ['A', 'A lead', 'lead'],
  ['A', 'A safety', 'safety'],
  ['A', 'A researcher 1', 'researcher'],
  ['A', 'A researcher 2', 'researcher'],
  ['A', 'A researcher 3', 'researcher'],
  ['A', 'A auditor', 'auditor'],
  ['B', 'B lead', 'lead'],
  ['B', 'B safety', 'safety'],
  ['B', 'B researcher 1', 'researcher'],
  ['C', 'outside auditor', 'auditor'],
];

/** Makes the world: a host, two partners, a lab of auditors, a grant in force for each partner, and one that waits. */
export async function makeWorld(): Promise<World> {
  const template = await LocalBroker.create(CONFIG, BEGIN);
  const { broker } = template;
  const first = makeKey();
  const input = { name: 'admin', roles: ['admin' as const], attributes: {} };
  const made = await initialise(broker, 'Host', { ...input, publicKey: first.publicKey });
  const boss = made.admin.id;
  const labs: Record<string, Lab> = { host: made.lab };
  for (const [name, kind] of [
    ['A', 'partner'],
    ['B', 'partner'],
    ['C', 'auditor'],
  ] as const)
    labs[name] = await createLab(broker, boss, { name, kind });
  const firstKey = { privateKey: first.privateKey, kid: await thumbprintOf(first.publicKey) };
  const people: ModelPerson[] = [
    {
      id: boss,
      lab: made.lab.id,
      kind: 'host',
      roles: ['admin'],
      attributes: {},
      attributesUntil: {},
      removed: false,
      keys: [firstKey],
    },
  ];
  const named = new Map<string, string>();
  for (const [where, name, ...roles] of PEOPLE) {
    const lab = labs[where] as Lab;
    const key = makeKey();
    const attributes = ATTRIBUTES[name] ?? {};
    const person = { name, roles, attributes, publicKey: key.publicKey };
    const { id } = await createPerson(broker, boss, lab.id, person);
    const kid = await thumbprintOf(key.publicKey);
    const keys = [{ privateKey: key.privateKey, kid }];
    people.push({
      id,
      lab: lab.id,
      kind: lab.kind,
      roles,
      attributes,
      attributesUntil: {},
      removed: false,
      keys,
    });
    named.set(name, id);
  }
  const who = (name: string): string => named.get(name) as string;
  const grants: ModelGrant[] = [];
  for (const [name, models, members] of [
    ['A', ['model-a-1', 'model-b-1'], ['A lead', 'A researcher 1', 'A researcher 2']],
    ['B', ['model-a-1'], ['B researcher 1']],
    ['A', ['model-c-1'], ['A researcher 3']],
  ] as const) {
    const spec = baseSpec((labs[name] as Lab).id, [...models], members.map(who));
    const author = who(`${name} lead`);
    const { id, termsDigest } = await createGrant(broker, author, spec);
    await stepGrant(broker, author, id, 'submit', {});
    const grant: ModelGrant = {
      id,
      lab: spec.lab,
      state: 'submitted',
      text: {
        spec,
        authors: new Set([author]),
        approvals: new Map(),
        needed: [
          'admin',
          'safety',
          ...spec.endpoints.flatMap(({ endpoint }) => ALSO_NEEDED[endpoint] ?? []),
        ],
      },
      next: null,
      accepted: new Map(),
      joined: new Map(),
      left: new Set(),
      off: new Set(),
      reviewDue: Infinity,
    };
    grants.push(grant);
    // The third waits to be looked at.
    if (grants.length === 3) continue;
    await stepGrant(broker, boss, id, 'approve', {});
    await stepGrant(broker, who('safety'), id, 'approve', {});
    grant.text.approvals.set('admin', boss).set('safety', who('safety'));
    const accepted = new Set([author, ...members.map(who)]);
    for (const member of accepted) await stepGrant(broker, member, id, 'accept', { termsDigest });
    grant.accepted.set(spec.terms.text, accepted);
    grant.state = 'active';
  }
  await template.close();
  const kinds = Object.values(labs).map(({ id, kind }) => ({ id, kind }));
  const model: Model = {
    now: BEGIN,
    hostLab: made.lab.id,
    labs: kinds,
    people,
    grants,
    orders: [],
    disputes: [],
    tokens: [],
    endedRuns: new Set(),
    invitations: [],
  };
  return { template, model };
}

/** A grant as they begin here. */
export function baseSpec(lab: string, models: string[], people: string[]): GrantSpec {
  const endpoints = [...new Set(models.map((model) => ENDPOINT_OF[model] as string))].map(
    (endpoint) => ({ endpoint, models: models.filter((one) => ENDPOINT_OF[one] === endpoint) }),
  );
  return grantSpecSchema.parse({
    title: 'A grant',
    lab,
    endpoints,
    operations: ['chat.completions'],
    features: { streaming: true, tools: true },
    purposes: { allowed: ['hallucination', 'scheming'] },
    people: people.map((person) => ({ person })),
    maxPeople: 4,
    window: { from: instant(BEGIN - HOUR), until: instant(BEGIN + 30 * 24 * HOUR) },
    terms: terms(1),
  });
}
