/** Incidents: opening them, and what is done with them afterwards. */
import type { z } from 'zod';
import type {
  Incident,
  IncidentSpec,
  LinkTarget,
  ReportInput,
  correctionSchema,
  findingSchema,
} from '../core/incidents/incident.ts';
import { mintId } from '../lib/ids.ts';
import type { AskedChange } from '../store/operations/incidents.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

/** Opens an incident: the clock runs from the moment of awareness. */
export function openIncident(
  broker: Broker,
  actorId: string,
  spec: IncidentSpec,
): Promise<Incident> {
  const who = by(broker, actorId);
  const { title, description = null, harms, awareAt, orders, entries } = spec;
  return broker.store.write('openIncident', {
    by: who,
    id: mintId('inc', who.at),
    title,
    description,
    harms,
    awareAt: moment(awareAt, who.at),
    links: [...orders.map((order) => ({ order })), ...entries.map((entry) => ({ entry }))],
  });
}

/** Who changes which incident, and the revisions that may be changed; undefined: whichever there is. */
type Target = [
  broker: Broker,
  actorId: string,
  incidentId: string,
  ifMatch: readonly string[] | undefined,
];

/** Moves awareness to an earlier moment, adds kinds of harm, or changes what it is called. */
export function correctIncident(
  { awareAt, ...correction }: z.output<typeof correctionSchema>,
  ...target: Target
): Promise<Incident> {
  const at = awareAt === undefined ? undefined : Date.parse(awareAt);
  return change({ step: 'correct', ...correction, awareAt: at }, target);
}

/** Adds an order or an entry of the log. */
export function linkToIncident(
  { comment = null, ...link }: LinkTarget & { comment?: string | null | undefined },
  ...target: Target
): Promise<Incident> {
  return change({ step: 'link', target: link, comment }, target);
}

/** Says that something does not belong to it after all. It stays on record. */
export function unlinkFromIncident(
  { grounds, ...link }: LinkTarget & { grounds: string },
  ...target: Target
): Promise<Incident> {
  return change({ step: 'unlink', target: link, grounds }, target);
}

/** Adds what was found. */
export function addFinding(
  finding: z.output<typeof findingSchema>,
  ...target: Target
): Promise<Incident> {
  return change({ step: 'find', finding }, target);
}

/** Records that a report was sent. The final one closes the incident. */
export function reportIncident(
  { sentAt, ...report }: ReportInput,
  ...[broker, actorId, incidentId, ifMatch]: Target
): Promise<Incident> {
  const who = by(broker, actorId);
  return broker.store.write('reportIncident', {
    by: who,
    incidentId,
    ifMatch,
    change: { step: 'report', ...report, sentAt: moment(sentAt, who.at) },
  });
}

/** Records that an incident is resolved: its final report is due from then on. */
export function resolveIncident(
  { text, resolvedAt }: { text: string; resolvedAt?: string | undefined },
  ...target: Target
): Promise<Incident> {
  const [broker] = target;
  return change({ step: 'resolve', text, resolvedAt: moment(resolvedAt, broker.clock()) }, target);
}

/** Takes a resolution back: it goes on after all. */
export function reopenIncident(grounds: string, ...target: Target): Promise<Incident> {
  return change({ step: 'reopen', grounds }, target);
}

function change(
  asked: AskedChange,
  [broker, actorId, incidentId, ifMatch]: Target,
): Promise<Incident> {
  return broker.store.write('changeIncident', {
    by: by(broker, actorId),
    incidentId,
    ifMatch,
    change: asked,
  });
}

const moment = (given: string | undefined, now: number): number =>
  given === undefined ? now : Date.parse(given);
