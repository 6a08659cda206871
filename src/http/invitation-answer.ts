/** What is shown of invitations: to those who send them, and to those who hold a link. */
import { z } from 'zod';
import type { Offer } from '../broker/join.ts';
import type { ShownInvitation } from '../broker/show-invitations.ts';
import { DENIALS, type DenialCode } from '../core/denials.ts';
import { grantedModels } from '../core/grants.ts';
import { roleSchema } from '../core/people.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import { GRANT_STATES } from '../core/grants.ts';
import { instant, named, toInstant, toInstantOrNull } from './schemas.ts';

const invitationShape = {
  id: z.string(),
  lab: z.string(),
  name: z.string(),
  roles: z.array(roleSchema),
  attributes: z.record(z.string(), z.string()),
  subject: z.string().nullable(),
  grant: z.string().nullable().describe('Where the person gets a place on the roster'),
  rosterUntil: instant.nullable(),
  state: z
    .enum(['open', 'joined', 'withdrawn', 'expired'])
    .describe('open: the link can be used at this moment; expired: it, or the grant, is over'),
  invitedBy: z.string(),
  createdAt: instant,
  expiresAt: instant,
  endedAt: instant.nullable().describe('When it was used or withdrawn'),
  withdrawnBecause: z
    .enum(Object.keys(DENIALS) as [DenialCode, ...DenialCode[]])
    .nullable()
    .describe('What took it along: its sender was removed or left, or its grant ended'),
  joinedAs: z.string().nullable().describe('The person who used it'),
};

export const invitationAnswer = named('Invitation', z.object(invitationShape));

export const newInvitationAnswer = named(
  'NewInvitation',
  z.object({
    ...invitationShape,
    link: z
      .string()
      .describe('For the person alone: whoever opens it first joins. It is shown this once'),
  }),
);

/** An invitation as the API answers it. */
export function showInvitationAnswer({
  invitation,
  state,
}: ShownInvitation): z.input<typeof invitationAnswer> {
  const { labId, grantId, rosterUntil, createdAt, expiresAt, endedAt, ...rest } = invitation;
  return {
    ...rest,
    lab: labId,
    grant: grantId,
    rosterUntil: toInstantOrNull(rosterUntil),
    state,
    createdAt: toInstant(createdAt),
    expiresAt: toInstant(expiresAt),
    endedAt: toInstantOrNull(endedAt),
  };
}

export const previewAnswer = named(
  'InvitationPreview',
  z.object({
    host: z.object({ name: z.string() }).describe('The lab that runs this broker'),
    lab: z.object({ id: z.string(), name: z.string() }),
    name: z.string(),
    roles: z.array(roleSchema),
    invitedBy: z.object({ name: z.string() }),
    expiresAt: instant,
    grant: z
      .object({
        id: z.string(),
        title: z.string(),
        state: z.enum(GRANT_STATES),
        window: z.object({ from: instant, until: instant }),
        purposes: z.array(purposeSchema),
        models: z.array(z.string()),
        terms: z.object({ version: z.string(), text: z.string() }),
        termsDigest: z.string().describe('SHA-256 of the text of the terms, hex'),
      })
      .nullable(),
  }),
);

/** What an invitation offers, to whoever holds its link. */
export function showPreview(offer: Offer): z.input<typeof previewAnswer> {
  const { invitation, lab, host, inviter, grant } = offer;
  return {
    host,
    lab,
    name: invitation.name,
    roles: invitation.roles,
    invitedBy: inviter,
    expiresAt: toInstant(invitation.expiresAt),
    grant: grant
      ? {
          id: grant.id,
          state: grant.state,
          termsDigest: grant.termsDigest,
          title: grant.spec.title,
          window: grant.spec.window,
          purposes: grant.spec.purposes.allowed,
          models: grantedModels(grant.spec).map(({ model }) => model),
          terms: grant.spec.terms,
        }
      : null,
  };
}
