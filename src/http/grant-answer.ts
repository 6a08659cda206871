/** What is shown of a grant and of its use. */
import { z } from 'zod';
import type { ScopeUsage, ShownGrant, ShownUsage } from '../broker/show-grant.ts';
import type { Approval } from '../core/approvals.ts';
import { approvalRoleSchema } from '../core/authority-rules.ts';
import { DENIALS, type DenialCode } from '../core/denials.ts';
import { grantSpecSchema, GRANT_STATES } from '../core/grants.ts';
import type { GrantStatus } from '../core/access.ts';
import { instant, named, toInstant, toInstantOrNull } from './schemas.ts';

const grantStatuses = [
  ...GRANT_STATES,
  'scheduled',
  'expired',
  'suspended',
] as const satisfies readonly GrantStatus[];

const approvalsShape = {
  authorIds: z.array(z.string()).describe('Whoever wrote the text: none of them may approve it'),
  approvals: z
    .array(z.object({ personId: z.string(), as: approvalRoleSchema, at: instant }))
    .describe('Of this version; of the one that it narrows where it needed none'),
  approvalsNeeded: z
    .array(approvalRoleSchema)
    .describe('One person of the host for each; frozen when the text is submitted'),
};

const proposalAnswer = named(
  'GrantProposal',
  z.object({
    version: z.int(),
    state: z
      .enum(['draft', 'submitted', 'returned', 'approved'])
      .describe('approved: a lead of the partner lab has yet to accept its terms'),
    spec: grantSpecSchema,
    termsDigest: z.string(),
    ...approvalsShape,
    changes: z
      .array(
        z.object({
          path: z.string(),
          effect: z.enum(['narrower', 'wider', 'neutral']),
          text: z.string(),
        }),
      )
      .describe('What it changes of the text in force'),
  }),
);

export const grantAnswer = named(
  'Grant',
  z.object({
    id: z.string(),
    revision: z.string().describe('Changes with everything that is kept of the grant: the ETag'),
    lab: z.string(),
    state: z.enum(GRANT_STATES).describe('How far its text has come'),
    status: z.enum(grantStatuses).describe('Whether it stands at this moment'),
    statusReason: z
      .object({
        code: z.enum(Object.keys(DENIALS) as [DenialCode, ...DenialCode[]]),
        message: z.string(),
        orders: z.array(z.string()).optional(),
      })
      .nullable()
      .describe('Why nothing passes under it; null when it stands'),
    version: z.int(),
    spec: grantSpecSchema,
    termsDigest: z.string().describe('SHA-256 of the terms, hex'),
    ...approvalsShape,
    proposed: proposalAnswer
      .nullable()
      .describe('The version that is to follow the text in force, which stands until then'),
    acceptedBy: z.array(z.string()).describe('People who accepted the current terms'),
    acceptedForLabBy: z.string().nullable(),
    joiners: z
      .array(z.object({ personId: z.string(), until: instant.nullable() }))
      .describe('People who joined by invitation, beside those whom the text names'),
    leavers: z.array(z.string()).describe('People who handed their place back'),
    takenOff: z.array(z.string()).describe('People whom the lead took off the roster'),
    reviewDueAt: instant.nullable().describe('From then on it is suspended until it is reviewed'),
    endedAt: instant.nullable().describe('When its end was put on record'),
    roster: z
      .array(
        z.object({
          personId: z.string(),
          until: instant.nullable().describe('When the place ends; null: with the grant'),
          lacking: z
            .array(z.string())
            .describe('Attributes that the grant requires and that are not known of the person'),
          removed: z.boolean().describe('Whether the person was removed: nothing passes for them'),
        }),
      )
      .describe('Everybody who has a place, whether the text names them or they joined'),
    places: z
      .object({
        taken: z.int(),
        invited: z.int().describe('Those that open invitations hold'),
      })
      .nullable()
      .describe('Of "maxPeople"; null where the text does not say it'),
    createdAt: instant,
    updatedAt: instant,
  }),
);

/** A grant as the API answers it. */
export function showGrantAnswer({
  grant,
  revision,
  standing,
  approvalsNeeded,
  proposed,
  roster,
  places,
}: ShownGrant): z.input<typeof grantAnswer> {
  return {
    ...grant,
    revision,
    lab: grant.spec.lab,
    status: standing.status,
    statusReason: standing.refusal,
    approvals: grant.approvals.map(showApproval),
    approvalsNeeded,
    proposed: proposed && { ...proposed, approvals: proposed.approvals.map(showApproval) },
    joiners: grant.joiners.map(({ personId, until }) => ({
      personId,
      until: toInstantOrNull(until),
    })),
    roster: roster.map(({ until, ...place }) => ({
      ...place,
      until: until === Infinity ? null : toInstant(until),
    })),
    places,
    reviewDueAt: toInstantOrNull(grant.reviewDueAt),
    endedAt: toInstantOrNull(grant.endedAt),
    createdAt: toInstant(grant.createdAt),
    updatedAt: toInstant(grant.updatedAt),
  };
}

const showApproval = (approval: Approval) => ({ ...approval, at: toInstant(approval.at) });

const count = z.number();
const chargedAnswer = named(
  'Charged',
  z.object({
    requestsSettled: count,
    requestsReserved: count,
    tokensSettled: count,
    tokensReserved: count,
    spendSettledNanoUsd: count.describe('Billionths of a US dollar'),
    spendReservedNanoUsd: count,
  }),
);

const budgetLeft = z.object({ cap: count, left: count }).nullable();
const scopeShape = {
  lastDay: z.object({ requests: count, tokens: count }).describe('In the last 24 hours'),
  left: z
    .object({
      requests: budgetLeft,
      tokens: budgetLeft,
      requestsPerDay: budgetLeft,
      tokensPerDay: budgetLeft,
      spendUsd: budgetLeft,
    })
    .describe('Each budget and what is left of it, reservations counted as used; null: no cap'),
};

export const usageAnswer = named(
  'Usage',
  z.object({
    grant: z.string(),
    total: chargedAnswer,
    ...scopeShape,
    people: z.array(z.object({ personId: z.string(), charged: chargedAnswer, ...scopeShape })),
  }),
);

/** The use of a grant as the API answers it. */
export function showUsageAnswer({ grant, total, people }: ShownUsage): z.input<typeof usageAnswer> {
  const { charged, ...rest }: ScopeUsage = total;
  return { grant: grant.id, total: charged, ...rest, people };
}
