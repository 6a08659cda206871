/** Does what has fallen due. */
import { and, eq, type SQL } from 'drizzle-orm';
import { pauseBeforeNext } from '../../core/retries.ts';
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

type Handler = (context: WriterContext, item: AgendaItem, now: number) => void;

/** What is done for each kind. */
const HANDLERS: Record<AgendaKind, Handler> = {
  order: (context, { ref }, now) => lookAtOrder(context, ref, now),
  attributes: lookAtAttributes,
  grant: lookAtGrant,
  duty: lookAtDuty,
  incident: (context, { ref, at }, now) => lookAtIncident(context, ref, at, now),
  dispute: (context, { ref }, now) => escalateDispute(context, ref, mintId('ent', now), now),
};

interface Due {
  item: AgendaItem;
  now: number;
}

/**
 * Does one thing that has fallen due. Each is an operation of its own, so that one that fails is undone alone; what has gone
 * meanwhile was done, or has become idle.
 */
export const doDue: Operation<Due, void> = {
  run(context, { item, now }) {
    const { changes } = context.db.delete(agenda).where(isItem(item)).run();
    if (changes > 0) HANDLERS[item.kind](context, item, now);
  },
};

/** Puts off what failed, longer each time. Answers how often it has, and until when; undefined: it has gone meanwhile. */
export const putOffDue: Operation<Due, { attempts: number; until: number } | undefined> = {
  run(context, { item, now }) {
    const before = context.db.select().from(agenda).where(isItem(item)).get();
    if (!before) return undefined;
    const attempts = before.attempts + 1;
    const until = now + pauseBeforeNext(attempts);
    context.db.update(agenda).set({ attempts, notBefore: until }).where(isItem(item)).run();
    return { attempts, until };
  },
};

const isItem = ({ kind, ref, at }: AgendaItem): SQL | undefined =>
  and(eq(agenda.kind, kind), eq(agenda.ref, ref), eq(agenda.at, at));
