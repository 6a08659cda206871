/** Labs. */
import { z } from 'zod';
import { createLab } from '../../broker/manage-people.ts';
import { listLabs, showLab as readLab } from '../../broker/show-people.ts';
import { idSchema } from '../../core/ids.ts';
import { nameSchema } from '../../core/people.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { labAnswer, showLab } from '../schemas.ts';

const tag = 'Labs and people';

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
    params: z.strictObject({ lab: idSchema('lab') }),
    answer: labAnswer,
    handle: ({ broker, actorId, params }) => showLab(readLab(broker, actorId, params.lab)),
  }),
];
