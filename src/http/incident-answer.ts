/** What is shown of an incident. */
import { z } from 'zod';
import { DEADLINE_STATES, deadlinesOf, nextDueAt } from '../core/incidents/deadlines.ts';
import {
  INCIDENT_STATES,
  REPORT_KINDS,
  findingSchema,
  stateOf,
  type Done,
  type Incident,
} from '../core/incidents/incident.ts';
import { revisionOf } from '../core/revision.ts';
import { instant, named, toInstant, toInstantOrNull } from './schemas.ts';

const done = { by: z.string(), at: instant.describe('When it was recorded') };
const undone = z.object({ ...done, grounds: z.string() }).nullable();

const incidentShape = z.object({
  id: z.string(),
  revision: z.string().describe('Changes with everything that is kept of the incident: the ETag'),
  title: z.string(),
  description: z.string().nullable(),
  state: z.enum(INCIDENT_STATES),
  harms: z.array(
    z.object({ kind: z.string(), within: z.string().describe('From awareness to first report') }),
  ),
  updateEvery: z.string(),
  finalReportWithin: z.string(),
  awareAt: instant,
  openedBy: z.string(),
  openedAt: instant,
  nextDueAt: instant.nullable().describe('When the next report is due, or was; null: none is'),
  overdue: z.boolean().describe('Whether a report is overdue at this moment'),
});

export const incidentAnswer = named('Incident', incidentShape);

export const wholeIncidentAnswer = named(
  'WholeIncident',
  incidentShape.extend({
    deadlines: z.array(
      z.object({
        kind: z.enum(REPORT_KINDS),
        dueAt: instant,
        doneAt: instant.nullable().describe('When the report was sent'),
        state: z.enum(DEADLINE_STATES).describe('At this moment'),
      }),
    ),
    corrections: z.array(
      z.object({
        grounds: z.string(),
        awareBefore: instant.nullable().describe('What awareness was moved from; null: it was not'),
        addedHarms: z.array(z.string()),
        ...done,
      }),
    ),
    links: z.array(
      z.object({
        order: z.string().optional(),
        entry: z.int().optional().describe('Index in the log'),
        comment: z.string().nullable(),
        ...done,
        removed: undone.describe('Set when it turned out not to belong here'),
      }),
    ),
    findings: z.array(z.object({ n: z.int(), ...findingSchema.shape, ...done })),
    reports: z.array(
      z.object({
        n: z.int(),
        kind: z.enum(REPORT_KINDS),
        text: z.string(),
        to: z.array(z.string()),
        sentAt: instant,
        sha256: z.string().optional(),
        ...done,
      }),
    ),
    resolutions: z.array(
      z.object({
        resolvedAt: instant,
        text: z.string(),
        ...done,
        finalReport: z.int().nullable().describe('Number of its final report'),
        reopened: undone,
      }),
    ),
  }),
);

/** An incident in a list. */
export function showIncident(incident: Incident, now: number): z.input<typeof incidentAnswer> {
  const due = nextDueAt(incident);
  return {
    ...incident,
    revision: revisionOf(incident),
    state: stateOf(incident),
    awareAt: toInstant(incident.awareAt),
    openedAt: toInstant(incident.openedAt),
    nextDueAt: toInstantOrNull(due),
    overdue: due !== null && due <= now,
  };
}

const at = <T extends Done>(thing: T): Omit<T, 'at'> & { at: string } => ({
  ...thing,
  at: toInstant(thing.at),
});

/** An incident with all that belongs to it, as the API and a report give it. */
export function showWholeIncident(
  incident: Incident,
  now: number,
): z.input<typeof wholeIncidentAnswer> {
  return {
    ...showIncident(incident, now),
    deadlines: deadlinesOf(incident, now).map((one) => ({
      ...one,
      dueAt: toInstant(one.dueAt),
      doneAt: toInstantOrNull(one.doneAt),
    })),
    corrections: incident.corrections.map((one) => ({
      ...at(one),
      awareBefore: toInstantOrNull(one.awareBefore),
    })),
    links: incident.links.map((link) => ({
      ...at(link),
      removed: link.removed && at(link.removed),
    })),
    findings: incident.findings.map(at),
    reports: incident.reports.map((one) => ({ ...at(one), sentAt: toInstant(one.sentAt) })),
    resolutions: incident.resolutions.map((one) => ({
      ...at(one),
      resolvedAt: toInstant(one.resolvedAt),
      reopened: one.reopened && at(one.reopened),
    })),
  };
}
