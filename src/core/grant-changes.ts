/**
 * What a new text of a grant changes, point by point, and whether that is narrower. What is not proved to be narrower
 * is wider: it takes the full approvals.
 */
import { after as later } from './durations.ts';
import { placeOf, type GrantSpec, type Rostered } from './grants.ts';
import type { Budgets, Limits } from './limits.ts';
import { isCovered } from './networks.ts';
import type { Features } from './vocabulary.ts';

/** `neutral`: it concerns no access. */
type Effect = 'narrower' | 'wider' | 'neutral';

export interface Change {
  /** The field, as it is written in the text. */
  path: string;
  effect: Effect;
  /** What changes, in words. */
  text: string;
}

/** A grant as far as a new text is held against it. */
type Before = Rostered;

/**
 * Compares a new text with the one of a grant.
 *
 * @returns one change for each point that differs; none where both say the same
 */
export function changesBetween(before: Before, spec: GrantSpec): Change[] {
  const after: Before = { ...before, spec };
  const fields = Object.keys(COMPARED) as (keyof GrantSpec)[];
  return fields.flatMap((field) => COMPARED[field](before, after));
}

/** Whether any of the changes takes approvals. */
export const widens = (changes: readonly Change[]): boolean =>
  changes.some(({ effect }) => effect === 'wider');

type Compare = (before: Before, after: Before) => Change[];

const of =
  <K extends keyof GrantSpec>(
    field: K,
    compare: (path: string, from: GrantSpec[K], to: GrantSpec[K]) => Change[],
  ): Compare =>
  (before, after) =>
    compare(field, before.spec[field], after.spec[field]);

/** Every field of a grant's text: one that is added to the schema does not compile until it stands here. */
const COMPARED: Record<keyof GrantSpec, Compare> = {
  title: of('title', (path, from, to) => replaced(path, from, to, 'neutral')),
  lab: of('lab', (path, from, to) => replaced(path, from, to, 'wider')),
  endpoints: of('endpoints', (path, from, to) => compareSets(path, modelsOf(from), modelsOf(to))),
  operations: of('operations', compareSets),
  features: of('features', compareFeatures),
  purposes: of('purposes', (path, from, to) => [
    ...compareSets(`${path}.allowed`, from.allowed, to.allowed),
    ...inverted(compareSets(`${path}.excluded`, from.excluded, to.excluded)),
  ]),
  people: comparePeople,
  // Without it, nobody is invited at all.
  maxPeople: of('maxPeople', (path, from = 0, to = 0) => compareCap(path, from, to)),
  requires: of('requires', compareRequirements),
  limits: of('limits', compareCaps),
  budgets: of('budgets', compareCaps),
  perPerson: of('perPerson', (path, from, to) => [
    ...compareCaps(`${path}.limits`, from.limits, to.limits),
    ...compareCaps(`${path}.budgets`, from.budgets, to.budgets),
  ]),
  networks: of('networks', compareNetworks),
  binding: of('binding', (path, from, to) =>
    replaced(path, from, to, to === 'dpop' ? 'narrower' : 'wider'),
  ),
  transcripts: of('transcripts', (path, from, to) =>
    replaced(path, from, to, SECRECY[to] > SECRECY[from] ? 'narrower' : 'wider'),
  ),
  // Whoever opens them, and as long as there are any: less of either is narrower.
  transcriptRecipients: of('transcriptRecipients', compareRecipients),
  transcriptRetentionDays: of('transcriptRetentionDays', (path, from = 0, to = 0) =>
    compareCap(path, from, to),
  ),
  unknownFields: of('unknownFields', (path, from, to) =>
    replaced(path, from, to, to === 'refuse' ? 'narrower' : 'wider'),
  ),
  recordNetwork: of('recordNetwork', (path, from, to) =>
    replaced(path, String(from), String(to), 'wider'),
  ),
  orderRules: of('orderRules', (path, from, to) =>
    replaced(path, JSON.stringify(from), JSON.stringify(to), 'wider'),
  ),
  window: of('window', (path, from, to) => [
    ...replaced(
      `${path}.from`,
      from.from,
      to.from,
      isEarlier(from.from, to.from) ? 'narrower' : 'wider',
    ),
    ...replaced(
      `${path}.until`,
      from.until,
      to.until,
      isEarlier(to.until, from.until) ? 'narrower' : 'wider',
    ),
  ]),
  // Never is the longest.
  review: of('review', (path, from, to) =>
    replaced(
      `${path}.every`,
      from?.every ?? 'never',
      to?.every ?? 'never',
      isShorter(to, from) ? 'narrower' : 'wider',
    ),
  ),
  duties: of('duties', (path, from, to) =>
    replaced(path, JSON.stringify(from), JSON.stringify(to), 'wider'),
  ),
  tokenLifetimeSeconds: of('tokenLifetimeSeconds', compareCap),
  terms: of('terms', (path, from, to) => [
    ...replaced(`${path}.version`, from.version, to.version, 'wider'),
    ...(from.text === to.text
      ? []
      : [{ path: `${path}.text`, effect: 'wider' as const, text: 'the terms have a new text' }]),
  ]),
};

/** Whether one span between reviews is shorter than another, whatever day of the week it begins. */
function isShorter(one: GrantSpec['review'], other: GrantSpec['review']): boolean {
  if (one === null || other === null) return one !== null;
  const days = Array.from({ length: 7 }, (_, day) => day * 24 * 3_600_000);
  return days.every((from) => later(from, one.every) <= later(from, other.every));
}

/** How little is kept of bodies that somebody could read. */
const SECRECY: Record<GrantSpec['transcripts'], number> = { full: 0, sealed: 1, digest: 2 };

/** A recipient more is wider; another name of its holder is nobody's narrowing. */
function compareRecipients(
  path: string,
  from: GrantSpec['transcriptRecipients'] = [],
  to: GrantSpec['transcriptRecipients'] = [],
): Change[] {
  const holders = (list: typeof from): Map<string, string> =>
    new Map(list.map(({ recipient, holder }) => [recipient, holder]));
  const [were, are] = [holders(from), holders(to)];
  const renamed = [...are].flatMap(([recipient, holder]) =>
    replaced(`${path}.${recipient}`, were.get(recipient) ?? holder, holder, 'wider'),
  );
  return [...compareSets(path, [...were.keys()], [...are.keys()]), ...renamed];
}

const isEarlier = (one: string, other: string): boolean => Date.parse(one) < Date.parse(other);

function replaced(path: string, from: string, to: string, effect: Effect): Change[] {
  return from === to ? [] : [{ path, effect, text: `${path}: ${from} becomes ${to}` }];
}

/** Less in the set is narrower. Order and repetition say nothing. */
function compareSets(path: string, from: readonly string[], to: readonly string[]): Change[] {
  const change = (effect: Effect, verb: string, item: string): Change => ({
    path,
    effect,
    text: `${path}: ${verb} ${item}`,
  });
  return [
    ...missingFrom(to, from).map((item) => change('narrower', 'without', item)),
    ...missingFrom(from, to).map((item) => change('wider', 'with', item)),
  ];
}

const missingFrom = (list: readonly string[], items: readonly string[]): string[] =>
  [...new Set(items)].filter((item) => !list.includes(item));

/** For what takes away where it is said. */
function inverted(changes: Change[]): Change[] {
  return changes.map((change) => ({
    ...change,
    effect: change.effect === 'wider' ? 'narrower' : 'wider',
  }));
}

const modelsOf = (endpoints: GrantSpec['endpoints']): string[] =>
  endpoints.flatMap(({ endpoint, models }) => models.map((model) => `${model} at ${endpoint}`));

/** What is required beside, or of fewer values, is narrower. */
function compareRequirements(
  path: string,
  from: GrantSpec['requires'],
  to: GrantSpec['requires'],
): Change[] {
  const names = [...new Set([...from, ...to].map(({ name }) => name))];
  return names.flatMap((name): Change[] => {
    const [was, is] = [from, to].map((list) => list.find((one) => one.name === name));
    if (!was) return [{ path, effect: 'narrower', text: `${path}: with ${name}` }];
    if (!is) return [{ path, effect: 'wider', text: `${path}: without ${name}` }];
    if (was.is && is.is) return compareSets(`${path}.${name}`, was.is, is.is);
    const said = (values: string[] | undefined): string => values?.join(', ') ?? 'any value';
    return replaced(`${path}.${name}`, said(was.is), said(is.is), is.is ? 'narrower' : 'wider');
  });
}

/** Less is narrower; null: as much as one likes. */
function compareCap(path: string, from: number | null, to: number | null): Change[] {
  if (from === to) return [];
  const said = (cap: number | null): string => (cap === null ? 'no cap' : String(cap));
  const effect = (to ?? Infinity) < (from ?? Infinity) ? 'narrower' : 'wider';
  return [{ path, effect, text: `${path}: ${said(from)} becomes ${said(to)}` }];
}

function compareCaps<T extends Limits | Budgets>(path: string, from: T, to: T): Change[] {
  return (Object.keys(to) as (keyof T & string)[]).flatMap((name) =>
    compareCap(`${path}.${name}`, from[name] as number | null, to[name] as number | null),
  );
}

function compareFeatures(path: string, from: Features, to: Features): Change[] {
  return (Object.keys(to) as (keyof Features)[]).flatMap((name) => {
    const [one, other] = [from[name], to[name]];
    const at = `${path}.${name}`;
    if (typeof one === 'number' && typeof other === 'number') return compareCap(at, one, other);
    if (Array.isArray(one) && Array.isArray(other)) return compareSets(at, one, other);
    return replaced(at, String(one), String(other), other === false ? 'narrower' : 'wider');
  });
}

/**
 * Whoever is named again, or for longer, is wider. So is leaving somebody out who joined by invitation as well, if the
 * place that is left to them lasts longer.
 */
function comparePeople(before: Before, after: Before): Change[] {
  const named = ({ spec }: Before): Map<string, number> =>
    new Map(
      spec.people.map(({ person, until }) => [
        person,
        until === undefined ? Infinity : Date.parse(until),
      ]),
    );
  const [from, to] = [named(before), named(after)];
  const path = 'people';
  return [...new Set([...from.keys(), ...to.keys()])].flatMap((id): Change[] => {
    const [was, is] = [from.get(id), to.get(id)];
    if (was === is) return [];
    const placeGrows = endOf(after, id) > endOf(before, id);
    const effect = placeGrows || (is ?? 0) > (was ?? 0) ? 'wider' : 'narrower';
    if (is === undefined) return [{ path, effect, text: `${path}: without ${id}` }];
    if (was === undefined) return [{ path, effect, text: `${path}: with ${id}${until(is)}` }];
    return [{ path, effect, text: `${path}: ${id}${until(was)} becomes ${id}${until(is)}` }];
  });
}

const endOf = (grant: Before, personId: string): number => placeOf(grant, personId)?.until ?? 0;

const until = (end: number): string =>
  end === Infinity ? '' : ` until ${new Date(end).toISOString()}`;

function compareNetworks(path: string, from: string[] | null, to: string[] | null): Change[] {
  const said = (networks: string[] | null): string => networks?.join(', ') ?? 'any';
  if (said(from) === said(to)) return [];
  const lies = (inner: string[] | null, outer: string[] | null): boolean =>
    outer === null || (inner?.every((range) => isCovered(range, outer)) ?? false);
  const effect = lies(to, from) ? (lies(from, to) ? 'neutral' : 'narrower') : 'wider';
  return [{ path, effect, text: `${path}: ${said(from)} becomes ${said(to)}` }];
}
