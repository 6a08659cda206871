/** Duties. */
import { z } from 'zod';
import { listDuties, showDuty, stepDuty, type ShownDuty } from '../../broker/duties.ts';
import { dutyCauses, dutyKindSchema, dutyStates } from '../../core/duties.ts';
import { idSchema } from '../../core/ids.ts';
import { proseSchema } from '../../core/people.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Duties';
const params = z.strictObject({ duty: idSchema('dty') });

const dutyAnswer = named(
  'Duty',
  z.object({
    id: z.string(),
    grant: z.string(),
    lab: z.string(),
    person: z.string().nullable().describe('Whose access ended; null: the whole grant'),
    kind: dutyKindSchema,
    text: z.string(),
    cause: z.enum(dutyCauses).describe('What ended, so that it began'),
    state: z
      .enum(dutyStates)
      .describe('open: to be reported; reported: to be confirmed or returned; done: confirmed'),
    overdue: z.boolean(),
    begunAt: instant,
    dueAt: instant,
    reportedBy: z.string().nullable(),
    reportedAt: instant.nullable(),
    statement: z.string().nullable(),
    documentDigest: z.string().nullable().describe('SHA-256 of a document that was not sent, hex'),
    confirmedBy: z.string().nullable(),
    confirmedAt: instant.nullable(),
    returnGrounds: z.string().nullable(),
  }),
);

function showAnswer({ grantId, labId, personId, ...duty }: ShownDuty): z.input<typeof dutyAnswer> {
  return {
    ...duty,
    grant: grantId,
    lab: labId,
    person: personId,
    begunAt: toInstant(duty.begunAt),
    dueAt: toInstant(duty.dueAt),
    reportedAt: toInstantOrNull(duty.reportedAt),
    confirmedAt: toInstantOrNull(duty.confirmedAt),
  };
}

export const DUTY_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/duties',
    action: 'duty.read',
    tag,
    summary: 'List duties',
    description: "Newest first. A partner's people see those of their lab.",
    query: z.strictObject({
      ...pageQuery,
      lab: idSchema('lab').optional(),
      grant: idSchema('grt').optional(),
      state: z.enum(dutyStates).optional(),
    }),
    answer: pageOf(dutyAnswer),
    handle: ({ broker, actorId, query: { lab, grant, state, ...page } }) =>
      readPage(
        page,
        (request) => listDuties(broker, actorId, request, { labId: lab, grantId: grant, state }),
        showAnswer,
      ),
  }),
  route({
    method: 'get',
    path: '/api/v1/duties/:duty',
    action: 'duty.read',
    tag,
    summary: 'Show a duty',
    description: 'What is to be done, by when, and how far it is.',
    params,
    answer: dutyAnswer,
    handle: ({ broker, actorId, params: { duty } }) => showAnswer(showDuty(broker, actorId, duty)),
  }),
  route({
    method: 'post',
    path: '/api/v1/duties/:duty/report',
    action: 'duty.report',
    tag,
    summary: 'Report a duty as done',
    description: 'For the lead of the partner lab. The host lab or an auditor confirms it.',
    params,
    body: z.strictObject({
      statement: proseSchema.describe('What was done; the text of a certificate'),
      documentDigest: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex')
        .optional()
        .describe('SHA-256 of a document that proves it and stays with the partner'),
    }),
    answer: dutyAnswer,
    handle: async ({ broker, actorId, params: { duty }, body: { statement, documentDigest } }) =>
      showAnswer(
        await stepDuty(broker, actorId, duty, 'report', { text: statement, documentDigest }),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/duties/:duty/confirm',
    action: 'duty.confirm',
    tag,
    summary: 'Confirm that a duty is done',
    description: 'Final.',
    params,
    body: z.strictObject({}),
    answer: dutyAnswer,
    handle: async ({ broker, actorId, params: { duty } }) =>
      showAnswer(await stepDuty(broker, actorId, duty, 'confirm', {})),
  }),
  route({
    method: 'post',
    path: '/api/v1/duties/:duty/return',
    action: 'duty.return',
    tag,
    summary: 'Return a reported duty to the partner',
    description: 'It is open again, due when it was.',
    params,
    body: z.strictObject({ grounds: proseSchema.describe('What is missing') }),
    answer: dutyAnswer,
    handle: async ({ broker, actorId, params: { duty }, body: { grounds } }) =>
      showAnswer(await stepDuty(broker, actorId, duty, 'return', { text: grounds })),
  }),
];
