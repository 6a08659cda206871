/** Labs. */
import { z } from 'zod';
import { removeLabIdentity, setLabIdentity } from '../../broker/manage-lab-identity.ts';
import { createLab } from '../../broker/manage-people.ts';
import { listLabs, showLab as readLab } from '../../broker/show-people.ts';
import { idSchema } from '../../core/ids.ts';
import { labIdentitySchema } from '../../core/lab-identity.ts';
import { nameSchema } from '../../core/people.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { labAnswer, named, showLab } from '../schemas.ts';

const tag = 'Labs and people';

const labParams = z.strictObject({ lab: idSchema('lab') });

export const LAB_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/labs',
    action: 'lab.read',
    tag,
    summary: 'List labs',
    description: "Oldest first. A partner's people see their own lab and the host.",
    query: z.strictObject(pageQuery),
    answer: pageOf(labAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(query, (page) => listLabs(broker, actorId, page), showLab),
  }),
  route({
    method: 'post',
    path: '/api/v1/labs',
    action: 'lab.create',
    tag,
    summary: 'Register a lab',
    description: 'A partner lab can be granted access; an auditor lab can only look.',
    body: z.strictObject({ name: nameSchema, kind: z.enum(['partner', 'auditor']) }),
    status: 201,
    answer: labAnswer,
    handle: async ({ broker, actorId, body }) => showLab(await createLab(broker, actorId, body)),
  }),
  route({
    method: 'get',
    path: '/api/v1/labs/:lab',
    action: 'lab.read',
    tag,
    summary: 'Show a lab',
    description: 'A lab that the caller may not see is answered like one that does not exist.',
    params: labParams,
    answer: labAnswer,
    handle: ({ broker, actorId, params }) => showLab(readLab(broker, actorId, params.lab)),
  }),
  route({
    method: 'put',
    path: '/api/v1/labs/:lab/identity',
    action: 'lab.set_identity',
    tag,
    summary: 'Register what a lab signs for its people with',
    description:
      'From then on, an assertion that the lab signed (RFC 7523) gives the person that it names a token. Tokens that the lab vouched for under another identity end at once, and streams that run on them are cut.',
    params: labParams,
    body: named('LabIdentityInput', labIdentitySchema),
    answer: labAnswer,
    handle: async ({ broker, actorId, params, body }) =>
      showLab(await setLabIdentity(broker, actorId, params.lab, body)),
  }),
  route({
    method: 'post',
    path: '/api/v1/labs/:lab/identity/remove',
    action: 'lab.remove_identity',
    tag,
    summary: "Take a lab's identity away",
    description:
      'Nothing that the lab signs is believed any more. Tokens that it vouched for end at once, and streams that run on them are cut.',
    params: labParams,
    answer: labAnswer,
    handle: async ({ broker, actorId, params }) =>
      showLab(await removeLabIdentity(broker, actorId, params.lab)),
  }),
];
