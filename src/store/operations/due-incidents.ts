/** What happens to incidents by itself: their deadlines come near, and come. */
import { mintId } from '../../lib/ids.ts';
import { reckon, reportInWords } from '../../core/incidents/deadlines.ts';
import type { WriterContext } from '../context.ts';
import { readIncident, updateIncident } from '../incident-rows.ts';
import { tell } from './incidents.ts';

/** Looks at an incident whose moment has come. A deadline that was missed goes on record once, and stays due. */
export function lookAtIncident(
  context: WriterContext,
  id: string,
  moment: number,
  now: number,
): void {
  const incident = readIncident(context.db, id);
  if (!incident) return;
  const { overdue, reminders } = reckon(incident, context.rules.reviews.remindBefore, moment, now);
  for (const { kind, dueAt } of reminders) {
    const due = new Date(dueAt).toISOString();
    const what = `has its ${reportInWords(kind)} due at ${due}`;
    tell(context, incident, now, 'incident.deadline', what, { report: kind, dueAt: due });
  }
  if (overdue.length === 0) return;
  const seen = overdue.map((one) => ({ ...one, at: now }));
  updateIncident(context, { ...incident, overdue: [...incident.overdue, ...seen] }, now);
  for (const { kind, dueAt } of overdue) {
    const data = { report: kind, dueAt: new Date(dueAt).toISOString() };
    context.append({
      id: mintId('ent', now),
      kind: 'incident.overdue',
      at: now,
      actor: { system: 'broker' },
      ref: id,
      data,
    });
    const what = `has its ${reportInWords(kind)} overdue: it was due at ${data.dueAt}`;
    tell(context, incident, now, 'incident.overdue', what, data);
  }
}
