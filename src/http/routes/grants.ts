/** Grants: from draft to end. */
import { z } from 'zod';
import {
  addPersonToGrant,
  amendGrant,
  createGrant,
  reviewGrant,
  stepGrant,
  takePersonOffGrant,
} from '../../broker/manage-grants.ts';
import { listGrants, showGrant, showUsage, withStanding } from '../../broker/show-grant.ts';
import type { GrantStep } from '../../core/grant-steps.ts';
import { GRANT_STATES, grantSpecSchema } from '../../core/grants.ts';
import { idSchema } from '../../core/ids.ts';
import { instantSchema } from '../../core/instants.ts';
import { proseSchema } from '../../core/people.ts';
import { grantAnswer, showGrantAnswer, showUsageAnswer, usageAnswer } from '../grant-answer.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route, type Route } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Grants';
const params = z.strictObject({ grant: idSchema('grt') });
const spec = named('GrantSpec', grantSpecSchema);

const version = z
  .int()
  .min(1)
  .optional()
  .describe('The version that was read: the step fails if the grant has moved on');
const grounds = proseSchema.describe('Why; kept in the record');
const comment = proseSchema.optional().describe('A remark; kept in the record');
const freely = z.strictObject({ version, comment });
const withGrounds = z.strictObject({ version, grounds });
const withDigest = z.strictObject({
  version,
  comment,
  termsDigest: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex')
    .describe('SHA-256 of the terms that were read, as the grant shows it'),
});

const withSpec = z.strictObject({
  version,
  comment,
  spec: spec
    .optional()
    .describe('A narrower text, approved in place of the one under review: a version of its own'),
});

interface Step {
  summary: string;
  description: string;
  body: typeof freely | typeof withGrounds | typeof withDigest | typeof withSpec;
}

const STEPS: Record<GrantStep, Step> = {
  submit: {
    summary: 'Submit a grant for approval',
    description:
      'A draft, or one that was returned; or the proposed version of a grant in force. Whose approvals it needs is frozen with it.',
    body: freely,
  },
  return: {
    summary: 'Return a grant to its author',
    description: 'It, or its proposed version, can be amended and submitted again.',
    body: withGrounds,
  },
  approve: {
    summary: 'Approve a grant',
    description:
      'It, or its proposed version, takes one person of the host for each role in "approvalsNeeded": all different, none of them an author. With "spec", a narrower text takes the place of the one under review; approvals that others gave count no more.',
    body: withSpec,
  },
  reject: {
    summary: 'Reject a grant',
    description: 'Final. Of a grant in force, its proposed version alone.',
    body: withGrounds,
  },
  withdraw: {
    summary: 'Withdraw a grant',
    description:
      'Final, for the lab that wrote it, until it is approved. Of a grant in force, its proposed version alone.',
    body: freely,
  },
  accept: {
    summary: 'Accept the terms of a grant',
    description:
      'The lead first, for the lab: the grant is then active, or its proposed version with new terms in force. Then each person on the roster.',
    body: withDigest,
  },
  revoke: {
    summary: 'Revoke a grant',
    description: 'Final. When this returns nothing passes under it, and its streams are cut.',
    body: withGrounds,
  },
  close: {
    summary: 'Hand a grant back',
    description: 'Final. For the lead of the partner lab.',
    body: freely,
  },
};

const stepRoutes = (Object.keys(STEPS) as (keyof typeof STEPS)[]).map((step): Route =>
  route({
    method: 'post',
    path: `/api/v1/grants/:grant/${step}`,
    action: `grant.${step}`,
    tag,
    ...STEPS[step],
    params,
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, params: { grant }, body, ifMatch }) =>
      showGrantAnswer(
        withStanding(broker, await stepGrant(broker, actorId, grant, step, body, ifMatch)),
      ),
  }),
);

export const GRANT_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/grants',
    action: 'grant.read',
    tag,
    summary: 'List grants',
    description: "Newest first. A partner's people see those of their lab.",
    query: z.strictObject({
      ...pageQuery,
      lab: idSchema('lab').optional(),
      state: z.enum(GRANT_STATES).optional().describe('The state, which need not be the status'),
    }),
    answer: pageOf(grantAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) =>
          listGrants(broker, actorId, page, { labId: query.lab, state: query.state }).map(
            (shown) => ({ id: shown.grant.id, shown }),
          ),
        ({ shown }) => showGrantAnswer(shown),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/grants',
    action: 'grant.create',
    tag,
    summary: 'Draft a grant',
    description: 'Everything that it does not name is not allowed.',
    body: spec,
    status: 201,
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, body }) =>
      showGrantAnswer(withStanding(broker, await createGrant(broker, actorId, body))),
  }),
  route({
    method: 'get',
    path: '/api/v1/grants/:grant',
    action: 'grant.read',
    tag,
    summary: 'Show a grant',
    description: 'Its status is computed by the function that decides requests, at this moment.',
    params,
    revised: true,
    answer: grantAnswer,
    handle: ({ broker, actorId, params: { grant } }) =>
      showGrantAnswer(showGrant(broker, actorId, grant)),
  }),
  route({
    method: 'put',
    path: '/api/v1/grants/:grant',
    action: 'grant.amend',
    tag,
    summary: 'Amend a grant',
    description:
      'The whole text. Of a draft or a returned grant, it takes its place. Of a grant in force, what only narrows it is in force at once where an admin of the host says so; everything else is proposed, and is submitted and approved while the text in force stands.',
    params,
    body: spec,
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, params: { grant }, body, ifMatch }) =>
      showGrantAnswer(
        withStanding(broker, await amendGrant(broker, actorId, grant, body, ifMatch)),
      ),
  }),
  ...stepRoutes,
  route({
    method: 'post',
    path: '/api/v1/grants/:grant/review',
    action: 'grant.review',
    tag,
    summary: 'Review a grant in force',
    description:
      'It goes on, and its next review is set. One that was suspended because a review was missed stands again.',
    params,
    body: z.strictObject({ grounds }),
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, params: { grant }, body, ifMatch }) =>
      showGrantAnswer(
        withStanding(broker, await reviewGrant(broker, actorId, grant, body.grounds, ifMatch)),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/grants/:grant/people',
    action: 'grant.add_person',
    tag,
    summary: 'Put a person on the roster of a grant',
    description:
      'For the lead: somebody of the lab, within "maxPeople"; or back where the lead took them off. They accept the terms before their first token.',
    params,
    body: z.strictObject({
      person: idSchema('per'),
      until: instantSchema.optional().describe('When the place ends. Default: with the grant'),
    }),
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, params: { grant }, body: { person, until }, ifMatch }) => {
      const place = { personId: person, until: until === undefined ? null : Date.parse(until) };
      const changed = await addPersonToGrant(broker, actorId, grant, place, ifMatch);
      return showGrantAnswer(withStanding(broker, changed));
    },
  }),
  route({
    method: 'delete',
    path: '/api/v1/grants/:grant/people/:person',
    action: 'grant.take_off_person',
    tag,
    summary: 'Take a person off the roster of a grant',
    description:
      'For the lead. Their tokens under the grant end, their streams are cut, and its duties begin for them. The lead can put them back.',
    params: params.extend({ person: idSchema('per') }),
    revised: true,
    answer: grantAnswer,
    handle: async ({ broker, actorId, params: { grant, person }, ifMatch }) => {
      const changed = await takePersonOffGrant(broker, actorId, grant, person, ifMatch);
      return showGrantAnswer(withStanding(broker, changed));
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/grants/:grant/usage',
    action: 'usage.read',
    tag,
    summary: 'Show what a grant was charged',
    description:
      'With what is left of each budget. A researcher sees the whole and their own part.',
    params,
    answer: usageAnswer,
    handle: async ({ broker, actorId, params: { grant } }) =>
      showUsageAnswer(await showUsage(broker, actorId, grant)),
  }),
];
