/** Orders: instructions that narrow access. They overlay grants and never edit them. */
import { z } from 'zod';
import { LEVEL_NAMES, type LevelName } from '../authority-rules.ts';
import { instantSchema } from '../instants.ts';
import { proseSchema } from '../people.ts';
import { SWITCHES, purposeSchema, type Switch } from '../vocabulary.ts';
import { partsOf, selectorSchema, type Selecting, type SelectorPart } from './selector.ts';
import { severitySchema, suggestedLevel } from './severity.ts';

/** 0 notice, 1 watch, 2 constrain, 3 suspend narrowly, 4 suspend, 5 recall. */
export const levelSchema = z
  .int()
  .min(0)
  .max(LEVEL_NAMES.length - 1);

export const LEVEL = {
  notice: 0,
  watch: 1,
  constrain: 2,
  suspend_narrowly: 3,
  suspend: 4,
  recall: 5,
} as const satisfies Record<LevelName, number>;

/** The name of a level. */
export const levelName = (level: number): LevelName => LEVEL_NAMES[level] as LevelName;

/** A level as people read it. */
export const levelInWords = (level: number): string =>
  `level ${level}, ${levelName(level).replaceAll('_', ' ')}`;

const unique = (list: readonly string[]): boolean => new Set(list).size === list.length;

export const measuresSchema = z.strictObject({
  limitsPercent: z
    .int('must be a whole number from 1 to 99')
    .min(1, 'must be a whole number from 1 to 99')
    .max(99, 'must be a whole number from 1 to 99; to leave them as they are, leave it out')
    .optional()
    .describe('Level 2: limits are this part of what they were'),
  features: z
    .array(z.enum(Object.keys(SWITCHES) as [Switch, ...Switch[]]))
    .min(1)
    .refine(unique, 'must not name a feature twice')
    .optional()
    .describe('Level 2: features that are paused'),
  purposes: z
    .array(purposeSchema)
    .min(1)
    .refine(unique, 'must not name a purpose twice')
    .optional()
    .describe('Level 2: purposes that are paused'),
  putBack: z
    .array(z.string().min(1).max(120))
    .min(1)
    .max(16)
    .refine(unique, 'must not name a safeguard twice')
    .optional()
    .describe('Level 2: safeguards that are put back, by an alternative of the endpoint'),
  tokenSeconds: z
    .int()
    .min(60)
    .max(3_600)
    .optional()
    .describe('Levels 1 and 2: new tokens live no longer'),
});

export type Measures = z.infer<typeof measuresSchema>;

export const evidenceSchema = z.strictObject({
  class: z
    .enum(['reported', 'written', 'reproduced'])
    .describe('reported: somebody said so; written: on record; reproduced: seen again by us'),
  text: proseSchema.optional().describe('What it is: tickets, entries of the log, documents'),
});

export const authorityClaimSchema = z
  .strictObject({
    kind: z
      .enum(['officer', 'legal'])
      .default('officer')
      .describe('legal: the recorded order of an authority outside'),
    text: z.string().trim().min(1).max(500).optional().describe('In what capacity, or whose order'),
    instrument: z
      .string()
      .trim()
      .min(1)
      .max(500)
      .optional()
      .describe('The document that it rests on: file number, date, digest'),
  })
  .refine(({ kind, instrument }) => kind === 'officer' || instrument !== undefined, {
    path: ['instrument'],
    message: 'a legal order names its instrument: file number, date, digest',
  });

/** What is asked for, now or afterwards: its absence shows. */
const reasonsShape = {
  evidence: evidenceSchema.optional().describe('What the order rests on'),
  severity: severitySchema.optional().describe('How bad the finding is'),
  whyNotLower: proseSchema
    .optional()
    .describe('Why lower levels fail: for a level two or more above what the severity suggests'),
};

/** Parts without which a suspension is not narrow. */
const NARROW: readonly SelectorPart[] = [
  'person',
  'attributes',
  'run',
  'token',
  'purpose',
  'feature',
  'model',
  'network',
];

export const orderSpecSchema = z
  .strictObject({
    level: levelSchema
      .default(LEVEL.suspend)
      .describe('0 notice, 1 watch, 2 constrain, 3 suspend narrowly, 4 suspend, 5 recall'),
    selector: selectorSchema,
    measures: measuresSchema.default({}),
    grounds: proseSchema.describe('Why: shown to those concerned and kept in the record'),
    authority: authorityClaimSchema.prefault({}),
    ...reasonsShape,
    expiresAt: instantSchema.optional().describe('When it ends in any case'),
    reviewAt: instantSchema
      .optional()
      .describe('When it is to be reviewed, if earlier than the rules say'),
  })
  .superRefine((spec, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const { level, measures, selector } = spec;
    const parts = partsOf(selector);
    const named = (list: readonly SelectorPart[]): boolean =>
      list.some((part) => parts[part] !== undefined);
    const { tokenSeconds, ...constraints } = measures;
    const constrains = Object.values(constraints).some((one) => one !== undefined);
    if (level !== LEVEL.constrain && constrains)
      fail(['measures'], 'limitsPercent, features, purposes and putBack are of level 2, constrain');
    if (tokenSeconds !== undefined && level !== LEVEL.watch && level !== LEVEL.constrain)
      fail(['measures', 'tokenSeconds'], 'is of level 1, watch, and level 2, constrain');
    if (level === LEVEL.constrain && !constrains)
      fail(
        ['measures'],
        'must say what level 2, constrain, does: limitsPercent, features, purposes or putBack',
      );
    if (level === LEVEL.suspend_narrowly && !named(NARROW))
      fail(
        ['selector'],
        `is as wide as level 4, suspend: for level 3 name one of ${NARROW.join(', ')}`,
      );
    if (
      level === LEVEL.recall &&
      !('all' in selector) &&
      !named(['endpoint', 'model', 'safeguard'])
    )
      fail(['selector'], 'of level 5, recall, must name an endpoint, a model or a safeguard');
  });

export type OrderSpec = z.infer<typeof orderSpecSchema>;

/** What can be added to an order afterwards. */
export const supplementSchema = z
  .strictObject({ ...reasonsShape, instrument: z.string().trim().min(1).max(500).optional() })
  .refine((parts) => Object.values(parts).some((part) => part !== undefined), {
    message: 'must say at least one of: evidence, severity, whyNotLower, instrument',
  });

export type Supplement = z.infer<typeof supplementSchema>;

export type EndedBecause =
  'lifted' | 'lapsed' | 'expired' | 'review_missed' | 'lowered' | 'vacated' | 'modified';

/** `ratifier`: where those who ratify may issue, too, and it was one of them. */
export type IssuedAs = 'issuer' | 'ratifier';

export interface Order extends OrderSpec, Selecting {
  id: string;
  issuedBy: string;
  /** The lab of whoever issued it: a partner lifts its own orders, never the host's. */
  issuedByLab: string;
  /** The part of two that whoever issued it has: it stays theirs, whatever becomes of their roles. */
  issuedAs: IssuedAs;
  issuedAt: number;
  /** The second person; of a legal order null, since it needs none. */
  ratifiedBy: string | null;
  ratifiedAt: number | null;
  /** When it ends unless ratified before; null: not any more, or never. */
  lapsesAt: number | null;
  /** When it has to be reviewed; null: never. */
  reviewDueAt: number | null;
  /** Whether a review that is missed ends it. */
  lapsesUnreviewed: boolean;
  /** The order that it took the place of, and who lowered it. */
  replaces: string | null;
  loweredBy: string | null;
  endedAt: number | null;
  /** Null where it ended by itself. */
  endedBy: string | null;
  endedBecause: EndedBecause | null;
  endGrounds: string | null;
  /** How often it was changed since it was issued. */
  changes: number;
}

/**
 * An order as its revision takes it: without its evidence, which not everybody may see, not even by its digest. That it was
 * changed counts all the same.
 */
export function revised(order: Order): object {
  const { evidence: _, ...rest } = order;
  return rest;
}

interface OwnEnd {
  at: number;
  because: EndedBecause;
}

/** Of orders as they are: a change makes another object, and every request asks. */
const ownEnds = new WeakMap<Order, OwnEnd | null>();

/** When an order ends by itself, and why; null: never. */
export function ownEnd(order: Order): OwnEnd | null {
  let end = ownEnds.get(order);
  if (end === undefined) {
    end = firstEnd(order);
    ownEnds.set(order, end);
  }
  return end;
}

function firstEnd(order: Order): OwnEnd | null {
  const ends: OwnEnd[] = [];
  if (order.lapsesAt !== null) ends.push({ at: order.lapsesAt, because: 'lapsed' });
  if (order.expiresAt !== undefined)
    ends.push({ at: Date.parse(order.expiresAt), because: 'expired' });
  if (order.lapsesUnreviewed && order.reviewDueAt !== null)
    ends.push({ at: order.reviewDueAt, because: 'review_missed' });
  return ends.reduce<OwnEnd | null>(
    (first, end) => (first === null || end.at < first.at ? end : first),
    null,
  );
}

/** Whether an order is in force at a moment. */
export function isInForce(order: Order, now: number): boolean {
  if (order.endedAt !== null) return false;
  const end = ownEnd(order);
  return end === null || now < end.at;
}

/** What should have been said and was not. It prevents nothing; it shows. */
export function missingOf(order: OrderSpec): ('evidence' | 'severity' | 'whyNotLower')[] {
  if (order.level < LEVEL.watch) return [];
  const missing: ReturnType<typeof missingOf> = [];
  if (order.evidence === undefined) missing.push('evidence');
  if (order.severity === undefined) missing.push('severity');
  else if (
    order.whyNotLower === undefined &&
    order.authority.kind !== 'legal' &&
    order.level >= suggestedLevel(order.severity) + 2
  )
    missing.push('whyNotLower');
  return missing;
}

/** What nothing has happened to yet but that it was issued. */
export const JUST_ISSUED = {
  ratifiedBy: null,
  ratifiedAt: null,
  replaces: null,
  loweredBy: null,
  endedAt: null,
  endedBy: null,
  endedBecause: null,
  endGrounds: null,
  changes: 0,
} as const satisfies Partial<Order>;
