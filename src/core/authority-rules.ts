/**
 * Who decides, and within what time: the rules that a host can set (config/authority.yaml). What is not said there
 * is as it stands here.
 */
import { z } from 'zod';
import { durationSchema } from './durations.ts';
import { roleSchema, type Member } from './people.ts';

/** Somebody by lab and role, or anyone who is registered. */
const authoritySchema = z
  .enum([
    'host.admin',
    'host.safety',
    'host.executive',
    'host.auditor',
    'auditor.auditor',
    'partner.safety',
    'partner.lead',
    'anyone',
  ])
  .describe('Kind of lab and role. Those of a partner decide on their own lab alone');

export type Authority = z.infer<typeof authoritySchema>;

/** Whether a member is one of those named. */
export function holds(member: Member, authorities: readonly Authority[]): boolean {
  return authorities.some(
    (one) =>
      one === 'anyone' || member.person.roles.some((role) => one === `${member.lab.kind}.${role}`),
  );
}

/** Roles of the host that can be asked for an approval of a grant: one person for each. */
export const approvalRoleSchema = roleSchema.extract(['admin', 'safety', 'executive', 'auditor']);
export type ApprovalRole = z.infer<typeof approvalRoleSchema>;

const approvalsSchema = z
  .array(approvalRoleSchema)
  .min(2, 'must name at least two roles: nobody decides alone')
  .refine((roles) => new Set(roles).size === roles.length, 'must not name a role twice')
  .describe('One person of the host for each role, all different, none of them an author');

const levelRuleSchema = z.strictObject({
  issue: z.array(authoritySchema).describe('Who issues it, alone; it has effect at once'),
  ratify: z.array(authoritySchema).describe('Who else, another person, makes it stand'),
  anyOrder: z
    .boolean()
    .describe('Whether those of "ratify" may issue, too; then those of "issue" ratify'),
  lift: z
    .array(authoritySchema)
    .describe('Who lifts it, lowers it and decides on objections: another person than its issuer'),
  lapse: durationSchema.nullable().describe('When it ends by itself unless ratified; null: never'),
  review: durationSchema.nullable().describe('When it has to be reviewed, once ratified'),
  lapsesUnreviewed: z
    .boolean()
    .describe('Whether a review that is missed ends it; else it is reported as overdue'),
});

export type LevelRule = z.infer<typeof levelRuleSchema>;

const NOT_ALONE: Authority[] = ['host.safety', 'host.admin', 'host.executive'];

/** The names of the levels, least first: a level is its place here. */
export const LEVEL_NAMES = [
  'notice',
  'watch',
  'constrain',
  'suspend_narrowly',
  'suspend',
  'recall',
] as const;

export type LevelName = (typeof LEVEL_NAMES)[number];

const LEVEL_DEFAULTS: Record<
  LevelName,
  Omit<LevelRule, 'anyOrder' | 'lapsesUnreviewed'> & Partial<LevelRule>
> = {
  notice: {
    issue: ['anyone'],
    ratify: [],
    lift: [...NOT_ALONE, 'host.auditor', 'auditor.auditor'],
    lapse: null,
    review: null,
  },
  watch: {
    issue: ['host.safety', 'host.auditor', 'auditor.auditor'],
    ratify: NOT_ALONE,
    lift: NOT_ALONE,
    lapse: '14d',
    review: '28d',
  },
  constrain: {
    issue: ['host.safety'],
    ratify: NOT_ALONE,
    lift: NOT_ALONE,
    lapse: '7d',
    review: '28d',
  },
  suspend_narrowly: {
    issue: ['host.safety', 'partner.safety'],
    ratify: [...NOT_ALONE, 'partner.safety', 'partner.lead'],
    lift: [...NOT_ALONE, 'partner.safety', 'partner.lead'],
    lapse: '72h',
    review: '14d',
  },
  suspend: {
    issue: ['host.safety', 'host.executive'],
    ratify: ['host.safety', 'host.executive'],
    lift: NOT_ALONE,
    lapse: '24h',
    review: '14d',
  },
  recall: {
    issue: ['host.executive'],
    ratify: ['host.auditor', 'auditor.auditor'],
    anyOrder: true,
    // Of the two who made it stand, whoever did not issue it.
    lift: ['host.executive', 'host.auditor', 'auditor.auditor'],
    lapse: '24h',
    review: '15wd',
    lapsesUnreviewed: true,
  },
};

const level = (name: LevelName) => {
  const { shape } = levelRuleSchema;
  const defaults: LevelRule = { anyOrder: false, lapsesUnreviewed: false, ...LEVEL_DEFAULTS[name] };
  return z
    .strictObject({
      issue: shape.issue.default(defaults.issue),
      ratify: shape.ratify.default(defaults.ratify),
      anyOrder: shape.anyOrder.default(defaults.anyOrder),
      lift: shape.lift.default(defaults.lift),
      lapse: shape.lapse.default(defaults.lapse),
      review: shape.review.default(defaults.review),
      lapsesUnreviewed: shape.lapsesUnreviewed.default(defaults.lapsesUnreviewed),
    })
    .prefault({});
};

/** What a grant may say otherwise for the orders that name it. */
export const levelOverrideSchema = levelRuleSchema
  .extend({
    issue: z.array(authoritySchema).min(1, 'must leave somebody who can issue it'),
    lift: z.array(authoritySchema).min(1, 'must leave somebody who can lift it'),
  })
  .partial();

/** What takes two to act must end where one alone has. */
export const MUST_LAPSE = {
  path: ['recall', 'lapse'],
  message: 'must be a time: until both have acted, it lapses',
};

const ordersSchema = z.strictObject({
  levels: z
    .strictObject({
      notice: level('notice'),
      watch: level('watch'),
      constrain: level('constrain'),
      suspend_narrowly: level('suspend_narrowly'),
      suspend: level('suspend'),
      recall: level('recall'),
    })
    .refine(({ recall }) => recall.lapse !== null, MUST_LAPSE)
    .prefault({}),
  legal: z
    .strictObject({
      issue: z.array(authoritySchema).default(['host.safety', 'host.executive', 'host.admin']),
      lift: z.array(authoritySchema).default(['host.safety', 'host.executive']),
    })
    .prefault({})
    .describe('Who records the order of an authority, at any level, and who lifts it'),
  watchTokenSeconds: z
    .int()
    .min(60)
    .max(3_600)
    .default(300)
    .describe('Longest life of a token under a watch that says nothing else'),
});

const disputesSchema = z.strictObject({
  decideWithin: durationSchema.default('5wd'),
  escalateTo: z.array(authoritySchema).default(['host.executive']),
});

const reviewsSchema = z.strictObject({
  remindBefore: z.array(durationSchema).max(8).default(['7d', '1d']),
});

const incidentsSchema = z.strictObject({
  reportWithin: z
    .record(z.string().regex(/^[a-z][a-z_]{0,39}$/, 'must be a name of a-z and _'), durationSchema)
    .default({
      critical_infrastructure: '2d',
      cybersecurity: '5d',
      death: '10d',
      other_serious_harm: '15d',
    })
    .describe('Kinds of harm, and the time from awareness to the first report'),
  updateEvery: durationSchema.default('28d'),
  finalReportWithin: durationSchema.default('60d').describe('From the resolution'),
});

export const authorityRulesSchema = z.strictObject({
  approvals: approvalsSchema.default(['admin', 'safety']),
  orders: ordersSchema.prefault({}),
  disputes: disputesSchema.prefault({}),
  reviews: reviewsSchema.prefault({}),
  incidents: incidentsSchema.prefault({}),
});

export type AuthorityRules = z.infer<typeof authorityRulesSchema>;

export const DEFAULT_RULES: AuthorityRules = authorityRulesSchema.parse({});
