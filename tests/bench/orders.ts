/**
 * What orders cost, over a thousand grants with ten thousand people and two hundred orders in force: deciding a request with
 * them and without, and previewing one more.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { LiveRequests } from '../../src/broker/live-requests.ts';
import { Policy } from '../../src/broker/policy.ts';
import { previewOf } from '../../src/broker/preview-order.ts';
import { decideAccess, type AccessFacts } from '../../src/core/access.ts';
import { NOTHING_CONFIGURED } from '../../src/core/configured.ts';
import type { Grant } from '../../src/core/grants.ts';
import { effectOf } from '../../src/core/orders/effect.ts';
import { orderSpecSchema, type Order, type OrderSpec } from '../../src/core/orders/order.ts';
import { selectorSchema, type Selector } from '../../src/core/orders/selector.ts';
import type { Lab, Member } from '../../src/core/people.ts';
import { previewAnswer, showPreview } from '../../src/http/order-answer.ts';
import type { LiveToken } from '../../src/store/context.ts';
import {
  HOST,
  HOUR,
  NOW,
  aGrant,
  aLab,
  aMember,
  aSpec,
  anOrder,
  at,
  idOf,
} from '../support/facts.ts';
import { Rounds, costOf, medianOf, type Area, type Cost, type Figure } from './harness.ts';

const LABS = 20;
const GRANTS = 1_000;
const PEOPLE = 10_000;
const ORDERS = 200;

const ROUNDS = 5;
const DECISIONS = 20_000;
const PREVIEWS = 7;

const DECISION_GOAL = 'under 20 µs more than with none';
const PREVIEW_GOAL = 'within 200 ms';

interface Population {
  labs: Lab[];
  members: Member[];
  grants: Grant[];
}

/** Each lab has as many grants and people as the others, each grant ten people, two models and three purposes. */
function populate(): Population {
  const labs = Array.from({ length: LABS }, (_, i) => aLab('partner', `partner${i}`));
  const members = Array.from({ length: PEOPLE }, (_, i): Member => {
    const { person, lab } = aMember(labs[i % LABS]!, `person${i}`, 'researcher');
    const attributes = { export_status: ['a', 'b', 'c'][i % 3]!, employer: `employer${i % 50}` };
    return { lab, person: { ...person, attributes } };
  });
  const grants = Array.from({ length: GRANTS }, (_, i): Grant => {
    const lab = labs[i % LABS]!;
    const people = Array.from(
      { length: PEOPLE / GRANTS },
      (_one, n) => members[(i + n * GRANTS) % PEOPLE]!.person.id,
    );
    const spec = aSpec({
      lab: lab.id,
      purposes: { allowed: ['hallucination', 'sycophancy', 'scheming'], excluded: [] },
      people: people.map((person) => ({ person })),
      window: { from: at(NOW - HOUR), until: at(NOW + 24 * HOUR) },
    });
    return aGrant({ id: idOf('grt', `grant${i}`), spec, acceptedBy: people });
  });
  return { labs, members, grants };
}

type Mix = (i: number, population: Population) => Selector;

/** About people, grants, attributes, features, purposes, networks and runs; some of them narrowed by a lab. */
const mixed: Mix = (i, { labs, members, grants }) => {
  const lab = labs[Math.floor(i / 8) % LABS]!.id;
  const status = { name: 'export_status', is: [`other${i}`], unknown: 'spared' as const };
  const all: Selector[] = [
    { person: members[5_000 + i]!.person.id },
    { attributes: [{ ...status, name: 'employer' }] },
    { lab, feature: 'audio', attributes: [status] },
    { grant: grants[500 + i]!.id },
    { network: `198.51.${i}.0/24` },
    { lab, feature: 'audio' },
    { lab, run: idOf('run', `run${i}`) },
    { lab, model: 'model-a-1', network: `203.0.${i}.0/24` },
  ];
  return all[i % all.length]!;
};

/** Each about another value of one attribute. */
const byAttribute: Mix = (i) => ({
  attributes: [{ name: 'employer', is: [`other${i}`], unknown: 'matches' }],
});

/** Each about two attributes, of which everybody has the first as it says. */
const byTwo: Mix = (i) => ({
  attributes: [
    { name: 'export_status', is: ['a', 'b', 'c'], unknown: 'matches' },
    { name: 'employer', is: [`other${i}`], unknown: 'spared' },
  ],
});

const byNetwork: Mix = (i) => ({ network: `198.51.${i}.0/24` });

/** All about the lab that asks, and nothing that it asks for. */
const aboutLab: Mix = (i, { labs }) => ({
  lab: labs[0]!.id,
  model: 'model-a-1',
  ...(i % 2 === 0 ? { feature: 'audio' } : { purpose: 'jailbreak_robustness' }),
});

const MIXES: Record<string, Mix> = {
  'orders of all kinds': mixed,
  'orders by an attribute': byAttribute,
  'orders by two attributes': byTwo,
  'orders by a network': byNetwork,
  'orders about a lab': aboutLab,
};

const ordersOf = (mix: Mix, population: Population): Order[] =>
  Array.from({ length: ORDERS }, (_, i) =>
    anOrder(`order${String(i).padStart(3, '0')}`, selectorSchema.parse(mix(i, population)), {
      level: 3,
    }),
  );

/** A live token for one person of each grant, as the policy knows it. */
function tokensOf({ grants }: Population): LiveToken[] {
  return grants.map((grant, i) => ({
    id: idOf('tok', `token${i}`),
    audience: 'gateway',
    personId: grant.acceptedBy[0]!,
    grantId: grant.id,
    purpose: 'scheming',
    runId: idOf('run', `token${i}`),
    kid: 'k',
    jkt: null,
    narrowing: null,
    expiresAt: NOW + HOUR,
    revokedAt: null,
  }));
}

const factsOf = ({ grants, members }: Population, i: number): Omit<AccessFacts, 'orders'> => {
  const grant = grants[i % GRANTS]!;
  return {
    grant,
    ...members[i % GRANTS]!,
    purpose: 'scheming',
    runId: idOf('run', 'asked'),
    tokenId: idOf('tok', 'asked'),
    bound: false,
    narrowing: null,
    configured: NOTHING_CONFIGURED,
    operation: 'chat.completions',
    endpoint: 'demo',
    model: 'model-a-1',
    address: '192.0.2.7',
    features: ['streaming'],
    restored: [],
  };
};

/** All decisions of a request that orders have a part in: of its body, of whether it passes, of its limits. */
function decideRequests(facts: Omit<AccessFacts, 'orders'>[], orders: readonly Order[]): void {
  for (let i = 0; i < DECISIONS; i += 1) {
    const { grant, lab, ...asked } = facts[i % facts.length]!;
    if (!decideAccess({ grant, lab, ...asked, orders }, NOW).allowed)
      throw new Error('A request was refused.');
    const subject = { ...asked, grantId: grant!.id, labId: lab.id };
    for (let n = 0; n < 2; n += 1)
      if (effectOf(orders, subject, NOW, 300).noted.length > 0)
        throw new Error('An order is about a request that none is about.');
  }
}

/** Orders that are previewed, by what they are about. */
function previewed({ labs, members, grants }: Population): Record<string, OrderSpec> {
  const [lab, member, grant] = [labs[3]!, members[3]!, grants[3]!];
  const order = (level: number, selector: Selector): OrderSpec =>
    orderSpecSchema.parse({ level, selector, grounds: 'A bench' });
  return {
    everything: order(4, { all: true }),
    'a lab': order(4, { lab: lab.id }),
    'a grant': order(4, { grant: grant.id }),
    'a model': order(3, { model: 'model-a-1' }),
    'a purpose': order(3, { purpose: 'scheming' }),
    'an attribute': order(
      3,
      selectorSchema.parse({ attributes: [{ name: 'export_status', is: ['a'] }] }),
    ),
    'a person': order(3, { person: member.person.id }),
  };
}

export const orders: Area = async (report) => {
  const population = populate();
  // Of one lab: the one that all orders of one mix are about.
  const facts = Array.from({ length: 25 }, (_, i) => factsOf(population, i * LABS));
  const decided = Object.entries({ none: [], ...ordersOfAll(population) });
  const rounds = await Rounds.run(ROUNDS, async () => {
    const costs: Record<string, Cost> = {};
    for (const [name, some] of decided)
      costs[name] = await costOf(DECISIONS, () => Promise.resolve(decideRequests(facts, some)));
    return costs;
  });
  const without = rounds.time('none').value;
  report({ ...rounds.time('none'), name: 'deciding a request, no order in force' });
  for (const [name] of decided.slice(1)) {
    const figure = rounds.time(name);
    report({
      name: `added by ${ORDERS} ${name}`,
      value: figure.value - without,
      unit: 'µs',
      details: { 'in all': figure.value },
      goal: DECISION_GOAL,
    });
  }
  for (const [mix, some] of Object.entries(ordersOfAll(population)))
    report(await previewFigure(mix, population, some));
};

const ordersOfAll = (population: Population): Record<string, Order[]> =>
  Object.fromEntries(Object.entries(MIXES).map(([name, mix]) => [name, ordersOf(mix, population)]));

/** How long previews take, with their answers and the lesser orders that are held against them; and how long others wait. */
async function previewFigure(
  mix: string,
  population: Population,
  inForce: Order[],
): Promise<Figure> {
  const broker = brokerOf(population, inForce);
  const finding = { person: population.members[3]!.person.id, feature: 'streaming' as const };
  const delays = monitorEventLoopDelay({ resolution: 1 });
  const medians: Record<string, number> = {};
  const all: number[] = [];
  const processor: number[] = [];
  delays.enable();
  for (const [name, spec] of Object.entries(previewed(population))) {
    const took: number[] = [];
    for (let n = 0; n < PREVIEWS; n += 1) {
      const cost = await costOf(1, async () => {
        const preview = await previewOf(broker, spec, finding, undefined);
        JSON.stringify(previewAnswer.parse(showPreview(preview)));
      });
      took.push(cost.elapsed / 1e6);
      processor.push(cost.processor / 1e6);
    }
    medians[name] = medianOf(took);
    all.push(...took);
  }
  delays.disable();
  return {
    name: `a preview over ${ORDERS} ${mix}`,
    value: medianOf(all),
    unit: 'ms',
    details: {
      most: Math.max(...all),
      processor: medianOf(processor),
      'others waited': delays.max / 1e6,
      ...medians,
    },
    goal: PREVIEW_GOAL,
  };
}

function brokerOf(population: Population, ordersInForce: Order[]) {
  const { labs, members, grants } = population;
  const people = members.map(({ person }) => person);
  const records = { labs: [HOST, ...labs], people, grants, ordersInForce };
  const clock = (): number => NOW;
  return {
    policy: new Policy({ ...records, liveTokens: tokensOf(population) }, 0, new Map()),
    clock,
    configured: NOTHING_CONFIGURED,
    live: new LiveRequests(clock),
    endpoints: new Map(),
  };
}
