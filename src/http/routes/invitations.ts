/** Invitations, and joining by them. */
import { z } from 'zod';
import { invitePerson, withdrawInvitation } from '../../broker/invite-person.ts';
import { joinByInvitation, previewInvitation } from '../../broker/join.ts';
import { listInvitations, showInvitation } from '../../broker/show-invitations.ts';
import { idSchema } from '../../core/ids.ts';
import { INVITATION_HOURS } from '../../core/invitations.ts';
import { nameSchema, roleSchema, subjectSchema } from '../../core/people.ts';
import {
  invitationAnswer,
  newInvitationAnswer,
  previewAnswer,
  showInvitationAnswer,
  showPreview,
} from '../invitation-answer.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { attributesSchema, publicKey } from '../person-input.ts';
import { mediaRoute, route } from '../route.ts';
import { personAnswer, showPerson } from '../schemas.ts';

const tag = 'Invitations';
const params = z.strictObject({ invitation: idSchema('inv') });

const invitationInput = z
  .strictObject({
    lab: idSchema('lab'),
    name: nameSchema,
    roles: z.array(roleSchema).min(1).max(5),
    attributes: attributesSchema.default({}),
    subject: subjectSchema.optional().describe('What the lab calls the person in its assertions'),
    grant: idSchema('grt')
      .optional()
      .describe('Puts the person on the roster of this grant, within its "maxPeople"'),
    rosterUntil: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('When the place on the roster ends; without it, with the grant'),
    expiresInHours: z
      .int()
      .min(INVITATION_HOURS.least)
      .max(INVITATION_HOURS.most)
      .default(INVITATION_HOURS.usual),
  })
  .refine(({ grant, rosterUntil }) => grant !== undefined || rosterUntil === undefined, {
    path: ['rosterUntil'],
    message: 'is about a place on a roster: it takes "grant"',
  });

// The form alone: whether it opens anything is not for a schema to say.
const secret = z.string().min(1).max(200).describe('The part of the link after the "."');

/** What a browser shows of a link: what comes after "#" never leaves it. */
const JOIN_PAGE = `This is an invitation to Sallyport, by which a lab gives named people of other labs access to its models.

You need Node.js 20.19 or newer. In a terminal, in a checkout of Sallyport, run

  npm ci
  npx sallyport join

and paste the whole address of this page when it asks for it, including everything after the "#".
It shows who invites you to what, asks you, and makes a key that never leaves your machine.

The link works once. Keep it to yourself: whoever uses it first joins in your name.
`;

export const INVITATION_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/invitations',
    action: 'person.read',
    tag,
    summary: 'List invitations',
    description: "Newest first, never their links. A partner's people see those of their own lab.",
    query: z.strictObject({
      ...pageQuery,
      lab: idSchema('lab').optional(),
      open: z.enum(['true', 'false']).optional().describe('true: only those that can be used'),
    }),
    answer: pageOf(invitationAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) =>
          listInvitations(broker, actorId, page, {
            labId: query.lab,
            open: query.open === 'true',
          }).map((shown) => ({ id: shown.invitation.id, shown })),
        ({ shown }) => showInvitationAnswer(shown),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/invitations',
    action: 'person.invite',
    tag,
    summary: 'Invite a person',
    description:
      'By a link that works once. The person makes their key themselves: nobody else ever holds it.',
    body: invitationInput,
    status: 201,
    answer: newInvitationAnswer,
    handle: async ({ broker, control, actorId, body }) => {
      const { secret: shownOnce, ...shown } = await invitePerson(broker, actorId, body);
      const { id } = shown.invitation;
      return {
        ...showInvitationAnswer(shown),
        link: `${control.publicUrl}/join#${id}.${shownOnce}`,
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/invitations/:invitation',
    action: 'person.read',
    tag,
    summary: 'Show an invitation',
    description: 'Never its link.',
    params,
    answer: invitationAnswer,
    handle: ({ broker, actorId, params: { invitation } }) =>
      showInvitationAnswer(showInvitation(broker, actorId, invitation)),
  }),
  route({
    method: 'post',
    path: '/api/v1/invitations/:invitation/withdraw',
    action: 'person.withdraw_invitation',
    tag,
    summary: 'Withdraw an invitation',
    description: 'Its link opens nothing any more when this returns.',
    params,
    answer: invitationAnswer,
    handle: async ({ broker, actorId, params: { invitation } }) =>
      showInvitationAnswer(await withdrawInvitation(broker, actorId, invitation)),
  }),
  route({
    method: 'post',
    path: '/api/v1/invitations/:invitation/preview',
    action: 'public',
    tag,
    summary: 'Show what an invitation offers',
    description: 'For whoever holds its link. Uses up nothing.',
    params,
    body: z.strictObject({ secret }),
    answer: previewAnswer,
    handle: async ({ broker, address, params: { invitation }, body }) =>
      showPreview(await previewInvitation(broker, address, invitation, body.secret)),
  }),
  route({
    method: 'post',
    path: '/api/v1/invitations/:invitation/join',
    action: 'public',
    tag,
    summary: 'Join by an invitation',
    description:
      'Registers the person with a key that they prove to hold, and uses up the link. Under a grant in force it takes the digest of its terms, which are thereby accepted.',
    params,
    body: z.strictObject({
      secret,
      publicKey,
      proof: z
        .string()
        .min(1)
        .max(8192)
        .describe(
          'JWT by that key: typ "sallyport-join+jwt", aud our issuer, sub the invitation, iat, exp within 300 s, jti',
        ),
      termsDigest: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex')
        .optional(),
    }),
    status: 201,
    answer: personAnswer,
    handle: async ({ broker, address, params: { invitation }, body }) =>
      showPerson(await joinByInvitation(broker, address, invitation, body)),
  }),
  mediaRoute({
    method: 'get',
    path: '/join',
    action: 'public',
    tag,
    summary: 'What a link shows in a browser',
    description: 'A text that says how to use it. The secret stays in the browser.',
    media: 'text/plain; charset=utf-8',
    handle: () => ({ body: JOIN_PAGE }),
  }),
];
