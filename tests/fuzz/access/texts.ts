/** Texts of grants: how they are changed at random, and whether a change only narrows. */
import { grantSpecSchema, type GrantSpec } from '../../../src/core/grants.ts';
import { ENDPOINT_OF, HOUR, NETWORK, NEVER, instant, terms } from './setting.ts';
import { placesOf, spanOfReview, type Model, type ModelGrant } from './state.ts';

/** One change: what, and which of several. */
export interface Edit {
  what: (typeof EDITS)[number];
  pick: number;
}

type Change = (spec: GrantSpec, pick: number, model: Model) => Partial<GrantSpec>;

const MODELS = Object.keys(ENDPOINT_OF);

function withModels(names: readonly string[]): GrantSpec['endpoints'] {
  return [...new Set(names.map((name) => ENDPOINT_OF[name] as string))].map((endpoint) => ({
    endpoint,
    models: names.filter((name) => ENDPOINT_OF[name] === endpoint),
  }));
}

const modelsOf = ({ endpoints }: GrantSpec): string[] => endpoints.flatMap(({ models }) => models);

const earlier = (moment: string): string => instant(Date.parse(moment) - HOUR);
const later = (moment: string): string => instant(Date.parse(moment) + HOUR);

const CHANGES = {
  withoutModel: (spec, pick) => {
    const names = modelsOf(spec);
    return { endpoints: withModels(names.filter((_, i) => i !== pick % names.length)) };
  },
  // The one that is never granted comes rarely: with it, nothing else can be tried.
  withModel: (spec, pick) => {
    const name =
      pick % 16 === 15 ? NEVER.model : MODELS.filter((one) => one !== NEVER.model)[pick % 3];
    return { endpoints: withModels([...new Set([...modelsOf(spec), name as string])]) };
  },
  endsEarlier: ({ window }) => ({ window: { ...window, until: earlier(window.until) } }),
  endsLater: ({ window }) => ({ window: { ...window, until: later(window.until) } }),
  endsSoon: ({ window }, _, { now }) => ({ window: { ...window, until: instant(now + 2 * HOUR) } }),
  beginsLater: ({ window }) => ({ window: { ...window, from: later(window.from) } }),
  beginsEarlier: ({ window }) => ({ window: { ...window, from: earlier(window.from) } }),
  withPerson: ({ people, lab }, pick, model) => {
    // Somebody of another lab, now and then.
    const from = pick % 8 === 7 ? model.people : model.people.filter((one) => one.lab === lab);
    const id = from[pick % from.length]?.id as string;
    return { people: [...people.filter(({ person }) => person !== id), { person: id }] };
  },
  withoutPerson: ({ people }, pick) => ({
    people: people.filter((_, i) => i !== pick % people.length),
  }),
  personUntil: ({ people }, pick, { now }) => ({
    people: people.map((one, i) =>
      i === pick % people.length ? { ...one, until: instant(now + (1 + (pick % 5)) * HOUR) } : one,
    ),
  }),
  maxPeople: (_, pick) => ({ maxPeople: pick % 5 === 0 ? undefined : 1 + (pick % 6) }),
  newTerms: (_, pick) => ({ terms: terms(1 + (pick % 3)) }),
  title: (_, pick) => ({ title: `A grant ${pick % 3}` }),
  network: ({ networks }) => ({ networks: networks === null ? [NETWORK] : null }),
  withoutPurpose: ({ purposes }) => ({
    purposes: { ...purposes, allowed: purposes.allowed.slice(1) },
  }),
  withPurpose: ({ purposes }, pick) => {
    const purpose = (['hallucination', 'scheming', 'bias', NEVER.purpose] as const)[
      pick % 4
    ] as 'bias';
    return { purposes: { ...purposes, allowed: [...new Set([...purposes.allowed, purpose])] } };
  },
  tools: ({ features }) => ({ features: { ...features, tools: !features.tools } }),
  bound: ({ binding }) => ({ binding: binding === 'none' ? 'dpop' : 'none' }),
  limit: ({ limits }, pick) => ({
    limits: { ...limits, requestsPerMinute: pick % 3 === 0 ? null : 10 * (1 + (pick % 5)) },
  }),
  requires: ({ requires }) => ({
    requires: requires.length === 0 ? [{ name: 'export_status', is: ['cleared'] }] : [],
  }),
  review: ({ review }, pick) => ({
    review: review === null || pick % 2 === 0 ? { every: `${20 * (1 + (pick % 4))}h` } : null,
  }),
  orderRules: ({ orderRules }) => ({
    orderRules:
      orderRules.suspend === undefined
        ? { suspend: { issue: ['host.admin'], lapse: '1h', lift: ['host.safety'] } }
        : {},
  }),
} satisfies Record<string, Change>;

export const EDITS = Object.keys(CHANGES) as (keyof typeof CHANGES)[];

/** The text with some changes; undefined where that would be none. */
export function edited(
  spec: GrantSpec,
  edits: readonly Edit[],
  model: Model,
): GrantSpec | undefined {
  let text = spec;
  for (const { what, pick } of edits) text = { ...text, ...CHANGES[what](text, pick, model) };
  return grantSpecSchema.safeParse(text).data;
}

/** Whether the configuration rules a text out, whoever approves it. */
export const isNeverGranted = (spec: GrantSpec): boolean =>
  modelsOf(spec).includes(NEVER.model) || spec.purposes.allowed.includes(NEVER.purpose);

const isPart = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.every((one) => outer.includes(one));

/** Whether two texts say the same. */
export const saysTheSame = (one: GrantSpec, other: GrantSpec): boolean =>
  sorted(one) === sorted(other);

/** Lists of names and ids are sets. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (Array.isArray(part)) return part.map((one) => sorted(one)).sort();
    if (part === null || typeof part !== 'object') return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Whether a text gives nobody anything that another does not give them. */
export function onlyNarrows(grant: ModelGrant, from: GrantSpec, to: GrantSpec): boolean {
  const cap = (value: number | null): number => value ?? Infinity;
  const named = ({ people }: GrantSpec): Map<string, number> =>
    new Map(people.map(({ person, until }) => [person, until ? Date.parse(until) : Infinity]));
  const lasts = (inner: Map<string, number>, outer: Map<string, number>): boolean =>
    [...inner].every(([id, until]) => until <= (outer.get(id) ?? 0));
  return (
    isPart(modelsOf(to), modelsOf(from)) &&
    isPart(to.purposes.allowed, from.purposes.allowed) &&
    (from.features.tools || !to.features.tools) &&
    lasts(named(to), named(from)) &&
    lasts(placesOf(grant, to), placesOf(grant, from)) &&
    (to.maxPeople ?? 0) <= (from.maxPeople ?? 0) &&
    cap(to.limits.requestsPerMinute) <= cap(from.limits.requestsPerMinute) &&
    (from.networks === null || to.networks !== null) &&
    (from.binding === 'none' || to.binding === 'dpop') &&
    from.requires.length <= to.requires.length &&
    spanOfReview(to) <= spanOfReview(from) &&
    JSON.stringify(from.orderRules) === JSON.stringify(to.orderRules) &&
    Date.parse(to.window.from) >= Date.parse(from.window.from) &&
    Date.parse(to.window.until) <= Date.parse(from.window.until) &&
    from.terms.text === to.terms.text
  );
}
