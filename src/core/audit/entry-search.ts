/** What entries of the log are searched by, and whether one is found. */
import { z } from 'zod';
import type { Json } from './entry.ts';
import { idSchema } from '../ids.ts';
import { operationSchema, purposeSchema, slugSchema } from '../vocabulary.ts';
import { committedAtOf, termsOf, type Term, type TermField } from './entry-terms.ts';

/** More kinds than this are no longer a search. */
const MOST_KINDS = 32;

const idText = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be an id');

const kindSchema = z
  .string()
  .regex(/^[a-z_]{1,32}\.[a-z_]{1,32}$/, 'must be a kind of entry, such as order.issued');

const instant = z.iso
  .datetime({ offset: true, error: 'must be a moment such as 2027-01-31T12:00:00Z' })
  .transform((text) => Date.parse(text));

/** The parameters of a search, as they stand in a query. All of them have to hold. */
export const searchShape = {
  since: instant
    .optional()
    .describe('Entries that the log took at this moment or later (committedAt)'),
  until: instant.optional().describe('Entries that the log took before this moment (committedAt)'),
  kind: z
    .union([kindSchema, z.array(kindSchema).max(MOST_KINDS)])
    .transform((kinds) => (typeof kinds === 'string' ? [kinds] : kinds))
    .optional()
    .describe('Of this kind; given several times: of any of them'),
  ref: idText
    .optional()
    .describe('About one request, grant, order or token: the id that pairs entries'),
  id: idText.optional().describe('That name this id anywhere'),
  lab: idSchema('lab').optional().describe('That concern this partner lab'),
  person: idSchema('per').optional().describe('That concern this person'),
  actor: z
    .union([idSchema('per'), z.literal('broker')])
    .optional()
    .describe('Of what this person did, or the broker by itself ("broker")'),
  grant: idSchema('grt').optional(),
  run: idSchema('run').optional(),
  token: idSchema('tok').optional(),
  order: idSchema('ord')
    .optional()
    .describe('Of this order, and of what it refused, ended or watched'),
  purpose: purposeSchema.optional(),
  endpoint: slugSchema.optional(),
  model: z.string().min(1).max(200).optional().describe('The model that was asked for'),
  operation: operationSchema.optional(),
  decision: z.enum(['allowed', 'denied']).optional(),
  reason: z
    .string()
    .regex(/^[a-z_]{1,64}$/, 'must be a reason code, such as budget_exhausted')
    .optional(),
  end: z
    .string()
    .regex(/^[a-z_]{1,32}$/, 'must be the end of a request, such as completed or cut')
    .optional()
    .describe('How the request ended, of outcomes'),
} as const;

export const searchSchema = z.strictObject(searchShape);

/** A search. Times are epoch milliseconds; `since` is inclusive, `until` is not. */
export type EntrySearch = z.output<typeof searchSchema>;

/** A search as an entry says it, and as {@link searchSchema} takes it. */
export function searchData({
  since,
  until,
  kind,
  ...rest
}: EntrySearch): Record<string, Json | undefined> {
  const moment = (at: number | undefined): string | undefined =>
    at === undefined ? undefined : new Date(at).toISOString();
  const [only, ...more] = kind ?? [];
  return {
    ...rest,
    kind: more.length === 0 ? only : kind,
    since: moment(since),
    until: moment(until),
  };
}

/** Where the id of something can stand. */
const ID_FIELDS = [
  'ref',
  'lab',
  'person',
  'actor',
  'grant',
  'token',
  'run',
  'order',
  'mention',
] as const satisfies readonly TermField[];

const SINGLE_FIELDS = [
  'ref',
  'lab',
  'person',
  'actor',
  'grant',
  'run',
  'token',
  'order',
  'purpose',
  'endpoint',
  'model',
  'operation',
  'decision',
  'reason',
  'end',
] as const satisfies readonly (keyof EntrySearch & TermField)[];

/** One of these terms must be an entry's. */
export type Condition = readonly Term[];

/** The conditions of a search, all of which must hold, apart from its times. */
export function conditionsOf(search: EntrySearch): Condition[] {
  const conditions: Condition[] = [];
  for (const field of SINGLE_FIELDS) {
    const value = search[field];
    if (value !== undefined) conditions.push([[field, value]]);
  }
  const { kind, id } = search;
  if (kind !== undefined) conditions.push(kind.map((one): Term => ['kind', one]));
  if (id !== undefined) conditions.push(ID_FIELDS.map((field): Term => [field, id]));
  return conditions;
}

/** Whether a search looks at what entries say: one without conditions and times finds all of them. */
export const findsAll = (search: EntrySearch): boolean =>
  search.since === undefined && search.until === undefined && conditionsOf(search).length === 0;

/** A search made ready to be held against many entries. */
export class EntryMatcher {
  readonly #conditions: readonly Condition[];
  readonly #since: number;
  readonly #until: number;

  constructor(search: EntrySearch) {
    this.#conditions = conditionsOf(search);
    this.#since = search.since ?? -Infinity;
    this.#until = search.until ?? Infinity;
  }

  /** @param text the bytes of an entry, as UTF-8 */
  finds(text: string): boolean {
    if (!this.isInTime(text)) return false;
    if (this.#conditions.length === 0) return true;
    const terms = termsOf(text);
    return this.#conditions.every((condition) => condition.some((one) => includes(terms, one)));
  }

  /** Whether its times alone let an entry pass. */
  isInTime(text: string): boolean {
    if (this.#since === -Infinity && this.#until === Infinity) return true;
    const at = committedAtOf(text);
    return at >= this.#since && at < this.#until;
  }
}

const includes = (terms: readonly Term[], [field, value]: Term): boolean =>
  terms.some((term) => term[0] === field && term[1] === value);
