/** People and their keys. */
import { z } from 'zod';
import {
  addPersonKey,
  createPerson,
  removePerson,
  removePersonKey,
  setPersonAttributes,
  setPersonRoles,
} from '../../broker/manage-people.ts';
import { mayRead } from '../../broker/reach.ts';
import { listPeople, showPerson as readPerson } from '../../broker/show-people.ts';
import { AUTHORITY, reachOf, type Action } from '../../core/authority.ts';
import { idSchema } from '../../core/ids.ts';
import { nameSchema, roleSchema, subjectSchema } from '../../core/people.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { attributeChangesSchema, attributesSchema, changesOf, publicKey } from '../person-input.ts';
import { route } from '../route.ts';
import { labAnswer, named, personAnswer, showLab, showPerson } from '../schemas.ts';

const tag = 'Labs and people';

const personParams = z.strictObject({ person: idSchema('per') });

const meAnswer = named(
  'Me',
  z.object({
    person: personAnswer,
    lab: labAnswer,
    actions: z
      .record(z.string(), z.enum(['all', 'lab', 'self']))
      .describe('What the caller may do, and how far: everywhere, in their lab, to their own'),
  }),
);

export const PEOPLE_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/people',
    action: 'person.read',
    tag,
    summary: 'List people',
    description: "Oldest first. A partner's people see those of their own lab.",
    query: z.strictObject({ ...pageQuery, lab: idSchema('lab').optional() }),
    answer: pageOf(personAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) => listPeople(broker, actorId, page, { labId: query.lab }),
        showPerson,
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/people',
    action: 'person.create',
    tag,
    summary: 'Register a person',
    description:
      'A key names one person, for ever; it can be left out where the lab signs for its people, who are then known by their subject. Roles are those that people of the lab’s kind can have.',
    body: z.strictObject({
      lab: idSchema('lab'),
      name: nameSchema,
      roles: z.array(roleSchema).min(1).max(5),
      attributes: attributesSchema.default({}),
      subject: subjectSchema
        .optional()
        .describe('What their own lab calls them in its assertions. Default: their id'),
      publicKey: publicKey.optional(),
    }),
    status: 201,
    answer: personAnswer,
    handle: async ({ broker, actorId, body: { lab, ...person } }) =>
      showPerson(await createPerson(broker, actorId, lab, person)),
  }),
  route({
    method: 'get',
    path: '/api/v1/people/:person',
    action: 'person.read',
    tag,
    summary: 'Show a person',
    description: 'With the ids (kid) of their keys in use.',
    params: personParams,
    answer: personAnswer,
    handle: ({ broker, actorId, params }) => showPerson(readPerson(broker, actorId, params.person)),
  }),
  route({
    method: 'post',
    path: '/api/v1/people/:person/keys',
    action: 'person.add_key',
    tag,
    summary: 'Register another key of a person',
    description: 'A person has at most 8 keys in use.',
    params: personParams,
    body: z.strictObject({ publicKey }),
    status: 201,
    answer: personAnswer,
    handle: async ({ broker, actorId, params, body }) =>
      showPerson(await addPersonKey(broker, actorId, params.person, body.publicKey)),
  }),
  route({
    method: 'delete',
    path: '/api/v1/people/:person/keys/:kid',
    action: 'person.remove_key',
    tag,
    summary: 'Remove a key of a person',
    description:
      'Tokens that were obtained with it end at once, and streams that run on them are cut.',
    params: personParams.extend({
      kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'must be the id of a key (kid)'),
    }),
    answer: personAnswer,
    handle: async ({ broker, actorId, params }) =>
      showPerson(await removePersonKey(broker, actorId, params.person, params.kid)),
  }),
  route({
    method: 'post',
    path: '/api/v1/people/:person/roles',
    action: 'person.set_roles',
    tag,
    summary: 'Give a person other roles',
    description:
      'All of them, in place of those they have; by somebody else. Approvals that they gave to grants still under review count only while they hold the role. The host lab keeps an admin.',
    params: personParams,
    body: z.strictObject({ roles: z.array(roleSchema).min(1).max(5) }),
    answer: personAnswer,
    handle: async ({ broker, actorId, params, body }) =>
      showPerson(await setPersonRoles(broker, actorId, params.person, body.roles)),
  }),
  route({
    method: 'post',
    path: '/api/v1/people/:person/attributes',
    action: 'person.set_attributes',
    tag,
    summary: 'Set attributes of a person',
    description:
      'Those that are not named stay as they are; null takes one away. One that has an end counts as unknown from then on. While an order in force is about an attribute, only the host lab changes it.',
    params: personParams,
    body: z.strictObject({ attributes: attributeChangesSchema }),
    answer: personAnswer,
    handle: async ({ broker, actorId, params, body }) =>
      showPerson(
        await setPersonAttributes(broker, actorId, params.person, changesOf(body.attributes)),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/people/:person/remove',
    action: 'person.remove',
    tag,
    summary: 'Remove a person',
    description: 'Final. Nothing passes for them any more when this returns.',
    params: personParams,
    answer: personAnswer,
    handle: async ({ broker, actorId, params }) =>
      showPerson(await removePerson(broker, actorId, params.person)),
  }),
  route({
    method: 'get',
    path: '/api/v1/me',
    action: 'person.read',
    tag,
    summary: 'Show the caller',
    description: 'Who the token was issued to, and what they may do.',
    answer: meAnswer,
    handle: ({ broker, actorId }) => {
      const { member } = mayRead(broker, actorId, 'person.read');
      const reaches = (Object.keys(AUTHORITY) as Action[]).flatMap((action) => {
        const reach = reachOf(member, action);
        return typeof reach === 'string' ? [[action, reach] as const] : [];
      });
      return {
        person: showPerson(member.person),
        lab: showLab(member.lab),
        actions: Object.fromEntries(reaches),
      };
    },
  }),
];
