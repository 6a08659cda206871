/** Incidents: from awareness to the final report. */
import { z } from 'zod';
import type { Broker } from '../../broker/broker.ts';
import { whoMayActOn } from '../../broker/show-orders.ts';
import { exportIncident } from '../../broker/export-incident.ts';
import {
  addFinding,
  correctIncident,
  linkToIncident,
  openIncident,
  reopenIncident,
  reportIncident,
  resolveIncident,
  unlinkFromIncident,
} from '../../broker/manage-incidents.ts';
import { listIncidents, mustSeeIncident } from '../../broker/show-incidents.ts';
import { idSchema } from '../../core/ids.ts';
import {
  INCIDENT_STATES,
  correctionSchema,
  findingSchema,
  incidentSpecSchema,
  linkTargetSchema,
  reportSchema,
  type Incident,
} from '../../core/incidents/incident.ts';
import { instantSchema } from '../../core/instants.ts';
import { proseSchema } from '../../core/people.ts';
import {
  incidentAnswer,
  showIncident,
  showWholeIncident,
  wholeIncidentAnswer,
} from '../incident-answer.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { showWholeOrder, wholeOrderAnswer } from '../order-answer.ts';
import { mediaRoute, route } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Incidents';
const params = z.strictObject({ incident: idSchema('inc') });
const grounds = proseSchema.describe('Why; kept in the record');

const whole = async (broker: Broker, incident: Incident | Promise<Incident>) =>
  showWholeIncident(await incident, broker.clock());

/** What the routes that change an incident have in common. */
const changing = {
  method: 'post',
  action: 'incident.change',
  tag,
  params,
  revised: true,
  answer: wholeIncidentAnswer,
} as const;

export const INCIDENT_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/incidents',
    action: 'incident.read',
    tag,
    summary: 'List incidents',
    description: 'Newest first. For the host and the auditors.',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(INCIDENT_STATES).optional(),
      overdue: z
        .enum(['true', 'false'])
        .optional()
        .describe('true: only those with a report that is overdue'),
    }),
    answer: pageOf(incidentAnswer),
    handle: ({ broker, actorId, query: { state, overdue, ...page } }) =>
      readPage(
        page,
        (request) =>
          listIncidents(broker, actorId, request, {
            state,
            overdue: overdue === undefined ? undefined : overdue === 'true',
          }),
        (incident) => showIncident(incident, broker.clock()),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/incidents',
    action: 'incident.open',
    tag,
    summary: 'Open an incident',
    description:
      'The clock runs from the moment of awareness, by the shortest span of its kinds of harm. Its spans are those of the rules now, and stay.',
    body: named('IncidentSpec', incidentSpecSchema),
    status: 201,
    revised: true,
    answer: wholeIncidentAnswer,
    handle: ({ broker, actorId, body }) => whole(broker, openIncident(broker, actorId, body)),
  }),
  route({
    method: 'get',
    path: '/api/v1/incidents/:incident',
    action: 'incident.read',
    tag,
    summary: 'Show an incident',
    description: 'With its deadlines, and all that belongs to it.',
    params,
    revised: true,
    answer: wholeIncidentAnswer,
    handle: ({ broker, actorId, params: { incident } }) =>
      whole(broker, mustSeeIncident(broker, actorId, incident)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/correct',
    summary: 'Correct an incident',
    description:
      'Awareness moves to an earlier moment, never to a later one. Kinds of harm come to those it has; none is taken away.',
    body: correctionSchema,
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, correctIncident(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/links',
    summary: 'Add an order or an entry of the log',
    description: 'It belongs to the incident from then on.',
    body: linkTargetSchema.safeExtend({
      comment: proseSchema.optional().describe('Why it belongs here'),
    }),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, linkToIncident(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/unlink',
    summary: 'Say that an order or entry does not belong to an incident',
    description: 'It stays on record, with the reason.',
    body: linkTargetSchema.safeExtend({ grounds }),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, unlinkFromIncident(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/findings',
    summary: 'Add a finding',
    description: 'What was found, and how well it is known.',
    body: named('IncidentFinding', findingSchema),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, addFinding(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    action: 'incident.report',
    path: '/api/v1/incidents/:incident/reports',
    summary: 'Record that a report was sent',
    description: 'The first one, an update, or the final one, which closes a resolved incident.',
    body: named('IncidentReport', reportSchema),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, reportIncident(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/resolve',
    summary: 'Record that an incident is resolved',
    description: 'No update is due any more; the final report is.',
    body: z.strictObject({
      text: proseSchema.describe('What resolved it'),
      resolvedAt: instantSchema.optional().describe('Left out: now'),
    }),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, resolveIncident(body, broker, actorId, incident, ifMatch)),
  }),
  route({
    ...changing,
    path: '/api/v1/incidents/:incident/reopen',
    summary: 'Reopen an incident',
    description: 'It goes on after all: updates are due again.',
    body: z.strictObject({ grounds }),
    handle: ({ broker, actorId, params: { incident }, body, ifMatch }) =>
      whole(broker, reopenIncident(body.grounds, broker, actorId, incident, ifMatch)),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/incidents/:incident/export',
    action: 'incident.export',
    tag,
    summary: 'Export a report on an incident with its evidence',
    description:
      'A tar that "sallyport audit verify" checks offline: the report, the incident, its orders, and entries of the log with their proofs. The export goes on record. Headers: x-sallyport-export (id) and x-sallyport-entries.',
    params,
    media: 'application/x-tar',
    handle: async ({ broker, actorId, params: { incident } }) => {
      const { id, entries, bundle } = await exportIncident(broker, actorId, incident, {
        incident: (one, now) => wholeIncidentAnswer.parse(showWholeIncident(one, now)),
        order: ({ cut, cutIsPartial, ...one }, now) => ({
          ...wholeOrderAnswer.parse(
            showWholeOrder({ ...one, ...whoMayActOn(broker, one.order) }, now),
          ),
          cut,
          cutIsPartial,
        }),
      });
      return {
        headers: {
          'content-disposition': `attachment; filename="sallyport-${incident}.tar"`,
          'x-sallyport-export': id,
          'x-sallyport-entries': String(entries),
        },
        body: bundle,
      };
    },
  }),
];
