/** A grant in plain words. */
import { APPROVALS_NEEDED } from '../../core/grants.ts';
import type { Budgets, Limits } from '../../core/limits.ts';
import { SWITCHES, featuresSchema } from '../../core/vocabulary.ts';
import { counted, moment, type Cell } from '../output.ts';
import type { Grant, GrantSpec } from '../wire.ts';

/** The name of a lab or person, where it is known. */
export type NameOf = (id: string) => string | undefined;

/** What is said of a grant, point by point. */
export function describeGrant(grant: Grant, nameOf: NameOf): [string, Cell][] {
  const { spec } = grant;
  const named = (id: string): string => {
    const name = nameOf(id);
    return name === undefined ? id : `${name} (${id})`;
  };
  const place = (id: string, until: string | null | undefined): string => {
    if (grant.leavers.includes(id)) return `${named(id)}, who handed the place back`;
    return until ? `${named(id)} until ${moment(until)}` : named(id);
  };
  return [
    ['grant', grant.id],
    ['title', spec.title],
    [
      'status',
      grant.statusReason ? `${grant.status}: ${grant.statusReason.message}` : grant.status,
    ],
    ['version', grant.version],
    ['lab', named(spec.lab)],
    ['window', `${moment(spec.window.from)} until ${moment(spec.window.until)}`],
    ...spec.endpoints.map(({ endpoint, models }): [string, Cell] => [
      'models',
      `${models.join(', ')} at endpoint ${endpoint}`,
    ]),
    ['operations', spec.operations.join(', ')],
    ['features', features(spec.features)],
    ['purposes', spec.purposes.allowed.join(', ')],
    ['excluded', spec.purposes.excluded.join(', ') || undefined],
    ...spec.people.map(({ person, until }): [string, Cell] => ['person', place(person, until)]),
    ...grant.joiners.map(({ personId, until }): [string, Cell] => [
      'invited',
      place(personId, until),
    ]),
    ['roster', roster(spec)],
    ['limits', caps(LIMIT_WORDS, spec.limits)],
    ['budgets', caps(BUDGET_WORDS, spec.budgets)],
    ['each person', eachPerson(spec)],
    ['networks', spec.networks ? spec.networks.join(', ') : 'any'],
    ['unknown fields', spec.unknownFields === 'pass' ? 'passed on' : 'refused'],
    ['transcripts', spec.transcripts === 'digest' ? 'hashes only' : spec.transcripts],
    ['tokens live', `${spec.tokenLifetimeSeconds} s`],
    [
      'tokens bound',
      spec.binding === 'dpop' ? 'to a key of the client ("sallyport connect")' : 'to nothing',
    ],
    ['written by', grant.authorIds.map(named).join(', ')],
    ...APPROVALS_NEEDED.map((role): [string, Cell] => {
      const given = grant.approvals.find((approval) => approval.as === role);
      return [
        `approval, ${role}`,
        given ? `${named(given.personId)} at ${moment(given.at)}` : 'not given',
      ];
    }),
    ['accepted for lab', grant.acceptedForLabBy ? named(grant.acceptedForLabBy) : 'not yet'],
    ['accepted by', grant.acceptedBy.map(named).join(', ') || 'nobody yet'],
  ];
}

function roster({ maxPeople }: GrantSpec): string {
  return maxPeople === undefined
    ? 'nobody else'
    : `at most ${counted(maxPeople, 'person', 'people')}: the lead invites them`;
}

function features(granted: GrantSpec['features']): string {
  const on = Object.keys(SWITCHES).filter((name) => granted[name] === true);
  const parsed = featuresSchema.safeParse(granted);
  // A newer broker may know features that this version does not: they are named, not hidden.
  const others = Object.keys(granted).filter((name) => !(name in featuresSchema.shape));
  const bounds = parsed.success
    ? [
        `at most ${parsed.data.maxOutputTokens} output tokens`,
        parsed.data.n > 1 ? `n up to ${parsed.data.n}` : 'one answer a request',
        ...parsed.data.betaHeaders.map((header) => `beta ${header}`),
      ]
    : [];
  return [...on, ...bounds, ...others].join(', ');
}

type Words = Partial<Record<string, (value: string) => string>>;

const LIMIT_WORDS = {
  requestsPerMinute: (n) => `${n} requests a minute`,
  tokensPerMinute: (n) => `${n} tokens a minute`,
  concurrent: (n) => `${n} at once`,
} satisfies Record<keyof Limits, (value: string) => string>;

const BUDGET_WORDS = {
  requests: (n) => `${n} requests in all`,
  tokens: (n) => `${n} tokens in all`,
  requestsPerDay: (n) => `${n} requests in 24 hours`,
  tokensPerDay: (n) => `${n} tokens in 24 hours`,
  spendUsd: (n) => `$${n} in all`,
} satisfies Record<keyof Budgets, (value: string) => string>;

function caps(words: Words, values: Record<string, number | null>): string {
  const set = Object.entries(values).flatMap(([name, value]) => {
    if (value === null) return [];
    const number = value.toLocaleString('en-US');
    return [words[name]?.(number) ?? `${name} ${number}`];
  });
  return set.length === 0 ? 'none' : set.join(', ');
}

function eachPerson({ perPerson }: GrantSpec): string {
  const parts = [caps(LIMIT_WORDS, perPerson.limits), caps(BUDGET_WORDS, perPerson.budgets)];
  return parts.filter((part) => part !== 'none').join(', ') || 'no caps of their own';
}
