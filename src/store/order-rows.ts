/** Writes orders, and puts on the agenda what follows from their times. */
import { eq, sql } from 'drizzle-orm';
import type { EntryDraft } from '../core/audit/entry.ts';
import { before } from '../core/durations.ts';
import { ownEnd, type EndedBecause, type Order } from '../core/orders/order.ts';
import { partsOf } from '../core/orders/selector.ts';
import { putOnAgenda, takeOffAgenda } from './agenda.ts';
import type { WriterContext } from './context.ts';
import { readGrant, readOrder, readPerson } from './records.ts';
import { orders } from './schema.ts';

/** Adds an order. It has effect with the commit. */
export function insertOrder(context: WriterContext, row: typeof orders.$inferInsert): Order {
  context.db.insert(orders).values(row).run();
  return changed(context, row.id);
}

/** Changes what is not an order's text, or its text as a supplement does. */
export function updateOrder(
  context: WriterContext,
  id: string,
  values: Partial<Omit<typeof orders.$inferInsert, 'changes'>>,
): Order {
  const changes = sql`${orders.changes} + 1`;
  context.db
    .update(orders)
    .set({ ...values, changes })
    .where(eq(orders.id, id))
    .run();
  return changed(context, id);
}

/** Ends an order, by a person or by itself. */
export function endOrder(
  context: WriterContext,
  id: string,
  end: { at: number; by: string | null; because: EndedBecause; grounds: string | null },
): Order {
  return updateOrder(context, id, {
    endedAt: end.at,
    endedBy: end.by,
    endedBecause: end.because,
    endGrounds: end.grounds,
  });
}

function changed(context: WriterContext, id: string): Order {
  const order = readOrder(context.db, id) as Order;
  context.changed({ kind: 'order', value: order });
  schedule(context, order);
  return order;
}

/** The moments at which an order ends or has to be looked at, and the reminders before. */
function schedule(context: WriterContext, order: Order): void {
  takeOffAgenda(context, 'order', order.id);
  if (order.endedAt !== null) return;
  const end = ownEnd(order)?.at;
  const moments = [end, order.reviewDueAt ?? undefined].filter((at) => at !== undefined);
  const reminders = moments.flatMap((at) =>
    context.rules.reviews.remindBefore.map((span) => before(at, span)),
  );
  for (const at of [...moments, ...reminders.filter((one) => one > context.clock())])
    putOnAgenda(context, { kind: 'order', ref: order.id, at });
}

/** The lab, person and grant that an order is about, where it is about one: they may read its entries. */
export function concernedBy(
  { db }: WriterContext,
  { selector }: Pick<Order, 'selector'>,
): Pick<EntryDraft, 'lab' | 'person' | 'grant'> {
  const { lab, grant, person } = partsOf(selector);
  const ofPerson = person === undefined ? undefined : readPerson(db, person)?.labId;
  const ofGrant = grant === undefined ? undefined : readGrant(db, grant)?.spec.lab;
  return { lab: lab ?? ofPerson ?? ofGrant, person, grant };
}
