/** Does what has fallen due. */
import { and, asc, eq, lte } from 'drizzle-orm';
import { mintId } from '../../lib/ids.ts';
import type { AgendaItem } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { agenda, type AgendaKind } from '../schema.ts';
import { escalateDispute } from './disputes.ts';
import { lookAtIncident } from './due-incidents.ts';
import { lookAtOrder } from './due-orders.ts';
import { lookAtDuty } from './duties.ts';
import { lookAtGrant } from './grant-ends.ts';
import type { Operation } from './operation.ts';
import { lookAtAttributes } from './person-facts.ts';

/** Items of one transaction. */
const AT_A_TIME = 64;

type Handler = (context: WriterContext, item: AgendaItem, now: number) => void;

/** What is done for each kind. */
const HANDLERS: Record<AgendaKind, Handler> = {
  order: (context, { ref }, now) => lookAtOrder(context, ref, now),
  attributes: (context, { ref }, now) => lookAtAttributes(context, ref, now),
  grant: lookAtGrant,
  duty: (context, { ref }, now) => lookAtDuty(context, ref, now),
  incident: (context, { ref, at }, now) => lookAtIncident(context, ref, at, now),
  dispute: (context, { ref }, now) => escalateDispute(context, ref, mintId('ent', now), now),
};

/** Does what fell due until now, oldest first; `more`: there is more of it. */
export const runAgenda: Operation<{ now: number }, { more: boolean }> = {
  run(context, { now }) {
    const due = context.db
      .select()
      .from(agenda)
      .where(lte(agenda.at, now))
      .orderBy(asc(agenda.at))
      .limit(AT_A_TIME)
      .all();
    for (const item of due) {
      context.db
        .delete(agenda)
        .where(and(eq(agenda.kind, item.kind), eq(agenda.ref, item.ref), eq(agenda.at, item.at)))
        .run();
      HANDLERS[item.kind](context, item, now);
    }
    return { more: due.length === AT_A_TIME };
  },
};
