/** What is shown of invitations: to those who send them, and to those who hold a link. */
import { z } from 'zod';
import type { ShownInvitation } from '../broker/join.ts';
import { grantedModels } from '../core/grants.ts';
import { invitationState, type Invitation } from '../core/invitations.ts';
import { roleSchema } from '../core/people.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import { grantStates } from './grant-answer.ts';
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
  state: z.enum(['open', 'joined', 'withdrawn', 'expired']),
  invitedBy: z.string(),
  createdAt: instant,
  expiresAt: instant,
  endedAt: instant.nullable().describe('When it was used or withdrawn'),
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

/** An invitation as the API answers it. @param now epoch milliseconds */
export function showInvitationAnswer(
  invitation: Invitation,
  now: number,
): z.input<typeof invitationAnswer> {
  const { labId, grantId, rosterUntil, createdAt, expiresAt, endedAt, ...rest } = invitation;
  return {
    ...rest,
    lab: labId,
    grant: grantId,
    rosterUntil: toInstantOrNull(rosterUntil),
    state: invitationState(invitation, now),
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
        state: z.enum(grantStates),
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
export function showPreview(shown: ShownInvitation): z.input<typeof previewAnswer> {
  const { invitation, lab, host, inviter, grant } = shown;
  return {
    host,
    lab,
    name: invitation.name,
    roles: invitation.roles,
    invitedBy: inviter,
    expiresAt: toInstant(invitation.expiresAt),
    grant: grant
      ? {
          ...grant,
          title: grant.spec.title,
          window: grant.spec.window,
          purposes: grant.spec.purposes.allowed,
          models: grantedModels(grant.spec).map(({ model }) => model),
          terms: grant.spec.terms,
        }
      : null,
  };
}
