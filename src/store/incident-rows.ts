/** Reads and writes incidents, and puts on the agenda what follows from their deadlines. */
import { and, desc, eq, gt, isNull, lt, lte, or } from 'drizzle-orm';
import { refuse } from '../core/denials.ts';
import { momentsOf, nextDueAt } from '../core/incidents/deadlines.ts';
import { stateOf, type Incident, type IncidentState } from '../core/incidents/incident.ts';
import { putOnAgenda, takeOffAgenda } from './agenda.ts';
import type { WriterContext } from './context.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { incidents } from './schema.ts';

/** @param now epoch milliseconds */
export function insertIncident(context: WriterContext, record: Incident, now: number): Incident {
  context.db.insert(incidents).values(rowOf(record)).run();
  schedule(context, record, now);
  return mustFindIncident(context, record.id);
}

/** @param now epoch milliseconds */
export function updateIncident(context: WriterContext, record: Incident, now: number): Incident {
  const { id, ...row } = rowOf(record);
  context.db.update(incidents).set(row).where(eq(incidents.id, id)).run();
  schedule(context, record, now);
  return mustFindIncident(context, id);
}

function rowOf(record: Incident): typeof incidents.$inferInsert {
  return { id: record.id, state: stateOf(record), nextDueAt: nextDueAt(record), record };
}

/** Deadlines that came before they were noted are looked at at once; reminders of moments that are over are not given. */
function schedule(context: WriterContext, record: Incident, now: number): void {
  takeOffAgenda(context, 'incident', record.id);
  for (const at of momentsOf(record, context.rules.reviews.remindBefore, now))
    putOnAgenda(context, { kind: 'incident', ref: record.id, at });
}

/** As it is stored: what is read back is what revisions are made of. */
export function readIncident(db: Db, id: string): Incident | undefined {
  return db.select().from(incidents).where(eq(incidents.id, id)).get()?.record;
}

export function mustFindIncident({ db }: { db: Db }, id: string): Incident {
  return readIncident(db, id) ?? refuse('not_found', 'There is no such incident.');
}

export interface IncidentFilter {
  state?: IncidentState | undefined;
  /** Those with a report that is overdue at this moment, or those without; epoch milliseconds. */
  overdue?: { is: boolean; now: number } | undefined;
}

/** Newest first. */
export function listIncidents(
  db: Db,
  { after, limit }: PageRequest,
  { state, overdue }: IncidentFilter,
): Incident[] {
  return db
    .select()
    .from(incidents)
    .where(
      and(
        maybe(after, (id) => lt(incidents.id, id)),
        maybe(state, (one) => eq(incidents.state, one)),
        maybe(overdue, ({ is, now }) => (is ? lte(incidents.nextDueAt, now) : notDue(now))),
      ),
    )
    .orderBy(desc(incidents.id))
    .limit(limit)
    .all()
    .map(({ record }) => record);
}

const notDue = (now: number) => or(isNull(incidents.nextDueAt), gt(incidents.nextDueAt, now));
