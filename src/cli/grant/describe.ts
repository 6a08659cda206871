/** A grant in plain words. */
import type { Budgets, Limits } from '../../core/limits.ts';
import { SWITCHES, featuresSchema } from '../../core/vocabulary.ts';
import type { Named } from '../names.ts';
import { counted, moment, type Cell } from '../output.ts';
import type { Grant, GrantSpec, Proposal } from '../wire.ts';

/** What is said of a grant, point by point. */
export function describeGrant(grant: Grant, named: Named): [string, Cell][] {
  const { spec } = grant;
  const place = (id: string): string => {
    if (grant.leavers.includes(id)) return `${named(id)}, who handed the place back`;
    const held = grant.roster.find(({ personId }) => personId === id);
    if (held?.removed) return `${named(id)}, who was removed`;
    if (grant.takenOff.includes(id)) return `${named(id)}, whom the lead took off`;
    const who = held?.until ? `${named(id)} until ${moment(held.until)}` : named(id);
    const lacking = held?.lacking ?? [];
    return lacking.length === 0 ? who : `${who}, of whom is not known: ${lacking.join(', ')}`;
  };
  const inText = spec.people.map(({ person }) => person);
  const joined = grant.joiners.map(({ personId }) => personId);
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
    ...inText.map((id): [string, Cell] => ['person', place(id)]),
    ...joined
      .filter((id) => !inText.includes(id))
      .map((id): [string, Cell] => ['joined', place(id)]),
    ['roster', roster(grant)],
    ...spec.requires.map(({ name, is }): [string, Cell] => [
      'requires',
      is ? `${name}: ${is.join(' or ')}` : name,
    ]),
    ['limits', caps(LIMIT_WORDS, spec.limits)],
    ['budgets', caps(BUDGET_WORDS, spec.budgets)],
    ['each person', eachPerson(spec)],
    ['networks', spec.networks ? spec.networks.join(', ') : 'any'],
    ['unknown fields', spec.unknownFields === 'pass' ? 'passed on' : 'refused'],
    ['transcripts', spec.transcripts === 'digest' ? 'hashes only' : spec.transcripts],
    [
      'review',
      spec.review
        ? `every ${spec.review.every}; the next by ${moment(grant.reviewDueAt) ?? 'a date that is set when it is in force'}`
        : 'none',
    ],
    ...spec.duties.map(({ kind, text, within }): [string, Cell] => [
      'duty',
      `${kind}, within ${within} of its end: ${text}`,
    ]),
    ['tokens live', `${spec.tokenLifetimeSeconds} s`],
    [
      'tokens bound',
      spec.binding === 'dpop'
        ? 'to a key of the client ("sallyport connect")'
        : 'no: whoever has one can use it',
    ],
    ['written by', grant.authorIds.map(named).join(', ')],
    ...approvals(grant, named),
    ['accepted for lab', grant.acceptedForLabBy ? named(grant.acceptedForLabBy) : 'not yet'],
    ['accepted by', grant.acceptedBy.map(named).join(', ') || 'nobody yet'],
  ];
}

/** What is said of a text that is no grant yet: what it allows, and nothing of how it stands. */
export function describeSpec(spec: GrantSpec, named: Named): [string, Cell][] {
  const unmade: Grant = {
    id: '',
    revision: '',
    state: 'draft',
    status: 'draft',
    statusReason: null,
    version: 1,
    spec,
    termsDigest: '',
    authorIds: [],
    approvals: [],
    approvalsNeeded: [],
    proposed: null,
    acceptedBy: [],
    joiners: [],
    leavers: [],
    takenOff: [],
    roster: [],
    createdAt: '',
    updatedAt: '',
  };
  return describeGrant(unmade, named).filter(([name]) => !OF_A_GRANT.has(name));
}

const OF_A_GRANT: ReadonlySet<string> = new Set([
  'grant',
  'title',
  'status',
  'version',
  'written by',
  'accepted for lab',
  'accepted by',
]);

/** What is said of the version that is to follow: how far it is, and what it changes. */
export function describeProposal(proposed: Proposal, named: Named): [string, Cell][] {
  return [
    ['proposed', `version ${proposed.version}, ${proposed.state}`],
    ...proposed.changes.map(({ effect, text }): [string, Cell] => [effect, named(text)]),
    ['written by', proposed.authorIds.map(named).join(', ')],
    ...approvals(proposed, named),
  ];
}

function approvals(
  text: Pick<Grant, 'approvals' | 'approvalsNeeded'>,
  named: (id: string) => string,
): [string, Cell][] {
  return text.approvalsNeeded.map((role) => {
    const given = text.approvals.find((approval) => approval.as === role);
    return [
      `approval, ${role}`,
      given ? `${named(given.personId)} at ${moment(given.at)}` : 'not given',
    ];
  });
}

function roster({ spec: { maxPeople }, places }: Grant): string {
  if (maxPeople === undefined) return 'nobody else';
  const most = `at most ${counted(maxPeople, 'person', 'people')}: the lead invites them`;
  if (!places) return most;
  const invited =
    places.invited === 0 ? '' : `, ${counted(places.invited, 'more is', 'more are')} invited`;
  return `${most}; ${counted(places.taken, 'place')} taken${invited}`;
}

function features(granted: GrantSpec['features']): string {
  const on = Object.keys(SWITCHES).filter((name) => granted[name] === true);
  const parsed = featuresSchema.safeParse(granted);
  // A newer broker may know features that this version does not: they are named, not hidden.
  const others = Object.keys(granted).filter((name) => !(name in featuresSchema.shape));
  const bounds = parsed.success
    ? [
        `at most ${counted(parsed.data.maxOutputTokens, 'output token')}`,
        parsed.data.n > 1 ? `n up to ${parsed.data.n}` : 'one answer a request',
        ...parsed.data.betaHeaders.map((header) => `beta ${header}`),
      ]
    : [];
  return [...on, ...bounds, ...others].join(', ');
}

const grouped = (value: number): string => value.toLocaleString('en-US');

type Words = Partial<Record<string, (value: number) => string>>;

const LIMIT_WORDS = {
  requestsPerMinute: (n) => `${counted(n, 'request')} a minute`,
  tokensPerMinute: (n) => `${counted(n, 'token')} a minute`,
  concurrent: (n) => `${grouped(n)} at once`,
} satisfies Record<keyof Limits, (value: number) => string>;

const BUDGET_WORDS = {
  requests: (n) => `${counted(n, 'request')} in all`,
  tokens: (n) => `${counted(n, 'token')} in all`,
  requestsPerDay: (n) => `${counted(n, 'request')} in 24 hours`,
  tokensPerDay: (n) => `${counted(n, 'token')} in 24 hours`,
  spendUsd: (n) => `$${grouped(n)} in all`,
} satisfies Record<keyof Budgets, (value: number) => string>;

function caps(words: Words, values: Record<string, number | null>): string {
  const set = Object.entries(values).flatMap(([name, value]) => {
    if (value === null) return [];
    return [words[name]?.(value) ?? `${name} ${grouped(value)}`];
  });
  return set.length === 0 ? 'none' : set.join(', ');
}

function eachPerson({ perPerson }: GrantSpec): string {
  const parts = [caps(LIMIT_WORDS, perPerson.limits), caps(BUDGET_WORDS, perPerson.budgets)];
  return parts.filter((part) => part !== 'none').join(', ') || 'no caps of their own';
}
