/** Grants: what they say, the states they pass through, and who may move them. */
import { z } from 'zod';
import type { Approvable } from './approvals.ts';
import { requirementSchema } from './attributes.ts';
import { MUST_LAPSE, levelOverrideSchema } from './authority-rules.ts';
import { durationSchema } from './durations.ts';
import { dutySpecSchema } from './duties.ts';
import { idSchema } from './ids.ts';
import { instantSchema } from './instants.ts';
import { budgetsSchema, limitsSchema } from './limits.ts';
import { networkSchema } from './networks.ts';
import { recipientsSchema } from './transcripts/recipients.ts';
import {
  featuresSchema,
  modelSchema,
  operationSchema,
  purposeSchema,
  slugSchema,
} from './vocabulary.ts';

const NO_LIMITS = limitsSchema.parse({});
const NO_BUDGETS = budgetsSchema.parse({});

/** What one partner lab may do. Everything that is not named is not allowed. */
export const grantSpecSchema = z
  .strictObject({
    title: z.string().trim().min(1).max(200),
    lab: idSchema('lab'),
    endpoints: z
      .array(z.strictObject({ endpoint: slugSchema, models: z.array(modelSchema).min(1).max(64) }))
      .min(1)
      .max(16)
      .describe('Endpoints, and at each the pinned models that may be called'),
    operations: z.array(operationSchema).min(1),
    features: featuresSchema.default(() => featuresSchema.parse({})),
    purposes: z.strictObject({
      allowed: z.array(purposeSchema).min(1),
      excluded: z.array(purposeSchema).default([]),
    }),
    people: z
      .array(
        z.strictObject({
          person: idSchema('per'),
          until: instantSchema.optional().describe('The person leaves the roster at this moment'),
        }),
      )
      .max(200)
      .describe('The roster: the named people who may use the grant'),
    maxPeople: z
      .int()
      .min(1)
      .max(200)
      .optional()
      .describe(
        'Most people on the roster: up to it, the lead invites more without a new approval. Without it, only those named above',
      ),
    requires: z
      .array(requirementSchema)
      .max(16)
      .default([])
      .describe('Attributes that each person on the roster must have, or nothing passes for them'),
    limits: limitsSchema.default(NO_LIMITS),
    budgets: budgetsSchema.default(NO_BUDGETS),
    perPerson: z
      .strictObject({
        limits: limitsSchema.default(NO_LIMITS),
        budgets: budgetsSchema.default(NO_BUDGETS),
      })
      .default({ limits: NO_LIMITS, budgets: NO_BUDGETS })
      .describe('The same caps for each person on the roster'),
    networks: z
      .array(networkSchema)
      .min(1)
      .max(64)
      .nullable()
      .default(null)
      .describe('Addresses (CIDR) that requests may come from; null: from anywhere'),
    binding: z
      .enum(['none', 'dpop'])
      .default('none')
      .describe(
        'dpop: tokens are bound to a key of the client and useless to whoever copies them; SDKs then go through "sallyport connect"',
      ),
    transcripts: z
      .enum(['digest', 'sealed', 'full'])
      .default('digest')
      .describe(
        'What is kept of request and response bodies. digest: commitments alone; sealed: the bodies, encrypted to keys that this broker does not hold; full: the bodies, which auditors read through the API',
      ),
    transcriptRecipients: recipientsSchema
      .optional()
      .describe('Of "sealed": the age recipients to whom bodies are encrypted, and who holds each'),
    transcriptRetentionDays: z
      .int()
      .min(1)
      .max(3_650)
      .optional()
      .describe('Of "sealed" and "full": bodies are destroyed so many days after their call'),
    unknownFields: z
      .enum(['refuse', 'pass'])
      .default('refuse')
      .describe(
        'What happens to body fields, and values of them, that the gateway does not know. pass: they reach the upstream at any depth, and can use features that are not granted and cost what is not reserved. Parts, blocks, items and tools of unknown types are refused all the same',
      ),
    recordNetwork: z
      .boolean()
      .default(false)
      .describe(
        'Whether a watch (an order of level 1) may record the address that requests come from',
      ),
    orderRules: z
      .strictObject({
        notice: levelOverrideSchema.optional(),
        watch: levelOverrideSchema.optional(),
        constrain: levelOverrideSchema.optional(),
        suspend_narrowly: levelOverrideSchema.optional(),
        suspend: levelOverrideSchema.optional(),
        recall: levelOverrideSchema.optional(),
      })
      .refine(({ recall }) => recall?.lapse !== null, MUST_LAPSE)
      .default({})
      .describe(
        'Rules of authority that orders naming this grant follow instead of those of the broker',
      ),
    window: z.strictObject({ from: instantSchema, until: instantSchema }),
    review: z
      .strictObject({ every: durationSchema })
      .nullable()
      .default(null)
      .describe(
        'How often the host reviews the grant, from when it came into force. A review that is missed suspends it',
      ),
    duties: z
      .array(dutySpecSchema)
      .max(16)
      .default([])
      .describe('What is to be done once the grant has ended, for all of it or for one person'),
    tokenLifetimeSeconds: z.int().min(60).max(3600).default(900),
    terms: z
      .strictObject({ version: z.string().min(1).max(40), text: z.string().min(1).max(16_000) })
      .describe('What the partner lab and each person accept'),
  })
  .superRefine((spec, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    if (Date.parse(spec.window.until) <= Date.parse(spec.window.from))
      fail(['window', 'until'], 'must be later than window.from');
    const both = spec.purposes.allowed.filter((purpose) =>
      spec.purposes.excluded.includes(purpose),
    );
    if (both.length > 0)
      fail(['purposes', 'excluded'], `must not repeat an allowed purpose (${both.join(', ')})`);
    repeated(spec.endpoints.map((entry) => entry.endpoint)).forEach((id) =>
      fail(['endpoints'], `names "${id}" twice`),
    );
    // The gateway finds the endpoint by the model alone, as SDKs name nothing else.
    repeated(spec.endpoints.flatMap((entry) => entry.models)).forEach((id) =>
      fail(['endpoints'], `names model "${id}" twice`),
    );
    repeated(spec.people.map((entry) => entry.person)).forEach((id) =>
      fail(['people'], `names "${id}" twice`),
    );
    repeated(spec.requires.map((one) => one.name)).forEach((name) =>
      fail(['requires'], `names "${name}" twice`),
    );
    const { transcripts, transcriptRecipients, transcriptRetentionDays } = spec;
    if (transcripts === 'sealed' && !transcriptRecipients)
      fail(['transcriptRecipients'], 'must name whom transcripts are sealed to');
    if (transcripts !== 'sealed' && transcriptRecipients)
      fail(['transcriptRecipients'], `is of no use: "transcripts" is ${transcripts}, not sealed`);
    if (transcripts !== 'digest' && transcriptRetentionDays === undefined)
      fail(['transcriptRetentionDays'], 'must say after how many days transcripts are destroyed');
    if (transcripts === 'digest' && transcriptRetentionDays !== undefined)
      fail(['transcriptRetentionDays'], 'is of no use: "transcripts" is digest, which keeps none');
    if (spec.people.length === 0 && spec.maxPeople === undefined)
      fail(['people'], 'must name somebody, or "maxPeople" let the lead invite people');
    if (spec.maxPeople !== undefined && spec.people.length > spec.maxPeople)
      fail(['maxPeople'], `is less than the ${spec.people.length} people named`);
  });

const repeated = (list: string[]): string[] => list.filter((item, i) => list.indexOf(item) !== i);

export type GrantSpec = z.infer<typeof grantSpecSchema>;

export const GRANT_STATES = [
  'draft',
  'submitted',
  'returned',
  'approved',
  'active',
  'rejected',
  'withdrawn',
  'revoked',
  'closed',
] as const;
export type GrantState = (typeof GRANT_STATES)[number];

/** One text of a grant, and who stands behind it. Whoever only narrowed it is no author. */
export interface GrantText extends Approvable {
  /** Counts up with each change of the text; approvals hold for one version only. */
  version: number;
  spec: GrantSpec;
  /** SHA-256 of the terms, hex: what acceptances refer to. */
  termsDigest: string;
}

/** A version on its way to take the place of the one in force, which stands until then. */
export interface Proposal extends GrantText {
  /** `approved`: it waits for the lead to accept its terms. */
  state: 'draft' | 'submitted' | 'returned' | 'approved';
}

/** A grant with its text: the one in force; before there is one, the one on its way. */
export interface Grant extends GrantText {
  id: string;
  state: GrantState;
  /** Of a grant whose text was approved: the one that is to follow. */
  proposed: Proposal | null;
  /** People who accepted the current terms. */
  acceptedBy: string[];
  /** People whom the lead invited within the cap, beside those that the text names. */
  joiners: { personId: string; until: number | null }[];
  /** People who handed their place back: they have none, whoever names them. */
  leavers: string[];
  /** People whom the lead took off the roster, and can put back. */
  takenOff: string[];
  /** The lead who accepted for the partner lab, which made the grant active. */
  acceptedForLabBy: string | null;
  /** When the next review is due, epoch milliseconds; from then on the grant is suspended. Null: none is. */
  reviewDueAt: number | null;
  /** When it was put on record that the grant is over, epoch milliseconds: it never comes back, whatever the clock says. */
  endedAt: number | null;
  createdAt: number;
  updatedAt: number;
}

/** Somebody who may use a grant, and until when; epoch milliseconds, Infinity where no end is set. */
export interface RosterPlace {
  personId: string;
  until: number;
}

/**
 * Everybody who may use a grant: those its text names and those who joined, less those who left or were taken off. Each has
 * one place; whoever is there twice has it until the earlier of the two ends.
 */
export function rosterOf(grant: Rostered): RosterPlace[] {
  return [...endsOf(grant)].map(([personId, until]) => ({ personId, until }));
}

/** The place of one person, as every request asks for it. */
export function placeOf(grant: Rostered, personId: string): RosterPlace | undefined {
  const until = endsOf(grant).get(personId);
  return until === undefined ? undefined : { personId, until };
}

export type Rostered = Pick<Grant, 'spec' | 'joiners' | 'leavers' | 'takenOff'>;

/** Of grants as they are: a change makes another object. */
const rosters = new WeakMap<Rostered, ReadonlyMap<string, number>>();

/** When each place ends, by person. */
function endsOf(grant: Rostered): ReadonlyMap<string, number> {
  const known = rosters.get(grant);
  if (known) return known;
  const ends = new Map<string, number>();
  const add = (personId: string, until: number): void =>
    void ends.set(personId, Math.min(until, ends.get(personId) ?? Infinity));
  for (const { person, until } of grant.spec.people)
    add(person, until === undefined ? Infinity : Date.parse(until));
  for (const { personId, until } of grant.joiners) add(personId, until ?? Infinity);
  for (const personId of [...grant.leavers, ...grant.takenOff]) ends.delete(personId);
  rosters.set(grant, ends);
  return ends;
}

/** The models that a grant covers, with the endpoint each is at. */
export function grantedModels(spec: GrantSpec): { endpoint: string; model: string }[] {
  return spec.endpoints.flatMap((entry) =>
    entry.models.map((model) => ({ endpoint: entry.endpoint, model })),
  );
}
