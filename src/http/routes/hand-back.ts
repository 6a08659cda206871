/** Handing a person's access back. */
import { z } from 'zod';
import { handBackAccess } from '../../broker/end-access.ts';
import { idSchema } from '../../core/ids.ts';
import { route } from '../route.ts';

export const HAND_BACK_ROUTES = [
  route({
    method: 'post',
    path: '/api/v1/people/:person/hand-back',
    action: 'access.hand_back',
    tag: 'Labs and people',
    summary: "Hand a person's access back",
    description:
      'For good: their place on the grant is given up and their tokens under it end. Without "grant": their places on all grants, and all of their tokens, the one that this is called with included. Succeeds where there is nothing left to hand back.',
    params: z.strictObject({ person: idSchema('per') }),
    body: z.strictObject({
      grant: idSchema('grt').optional().describe('Only their place on this grant'),
    }),
    answer: z.object({
      personId: z.string(),
      grants: z.array(z.string()).describe('Grants on which a place was given up by this'),
      ended: z.int().describe('Live tokens that it ended'),
      cut: z.int().describe('Running requests that it cut'),
    }),
    handle: async ({ broker, actorId, params: { person }, body: { grant } }) => ({
      personId: person,
      ...(await handBackAccess(broker, actorId, { personId: person, grantId: grant })),
    }),
  }),
];
