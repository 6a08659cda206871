/** Reading incidents. They are the host's and the auditors'. */
import { refuse } from '../core/denials.ts';
import type { Incident, IncidentState } from '../core/incidents/incident.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

/** Incidents, newest first. */
export function listIncidents(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: { state?: IncidentState | undefined; overdue?: boolean | undefined },
): Incident[] {
  mayRead(broker, actorId, 'incident.read');
  const { state, overdue } = filter;
  return broker.readers.listIncidents(page, {
    state,
    overdue: overdue === undefined ? undefined : { is: overdue, now: broker.clock() },
  });
}

/** The incident as it stands. @throws RefusedError `not_found` */
export function mustSeeIncident(broker: Broker, actorId: string, incidentId: string): Incident {
  mayRead(broker, actorId, 'incident.read');
  return broker.readers.readIncident(incidentId) ?? refuse('not_found');
}
