/** Writes orders, and puts on the agenda what follows from their times. */
import { and, eq, isNull, sql } from 'drizzle-orm';
import type { EntryDraft } from '../core/audit/entry.ts';
import { before } from '../core/durations.ts';
import { LEVEL, ownEnd, type EndedBecause, type Order } from '../core/orders/order.ts';
import { partsOf } from '../core/orders/selector.ts';
import { putOnAgenda, takeOffAgenda } from './agenda.ts';
import type { WriterContext } from './context.ts';
import { readGrant, readLab, readOrder, readPerson } from './records.ts';
import { orders, ordersTold } from './schema.ts';

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

/** How many notices of a person are in force. */
export const noticesInForce =
  ({ db }: WriterContext, { actorId, at }: { actorId: string; at: number }) =>
  (): number => {
    const rows = db
      .select({ expiresAt: sql<string | null>`json_extract(${orders.spec}, '$.expiresAt')` })
      .from(orders)
      .where(
        and(
          eq(orders.issuedBy, actorId),
          isNull(orders.endedAt),
          sql`json_extract(${orders.spec}, '$.level') = ${LEVEL.notice}`,
        ),
      )
      .all();
    return rows.filter(({ expiresAt }) => expiresAt === null || Date.parse(expiresAt) > at).length;
  };

/** Keeps which labs were told of an order: they hear of its end, and may go on looking at it. */
export function rememberTold(
  { db }: WriterContext,
  orderId: string,
  concerned: readonly { labId: string }[],
): void {
  const labs = [...new Set(concerned.map(({ labId }) => labId))];
  if (labs.length > 0)
    db.insert(ordersTold)
      .values(labs.map((labId) => ({ orderId, labId })))
      .run();
}

/**
 * The lab, person and grant that an order is about, where it is about one: they may read its entries. What a partner orders
 * is for that partner and the host, whatever lab it names.
 */
export function concernedBy(
  { db }: WriterContext,
  { selector, issuedByLab }: Pick<Order, 'selector' | 'issuedByLab'>,
): Pick<EntryDraft, 'lab' | 'person' | 'grant'> {
  const { lab, grant, person } = partsOf(selector);
  if (readLab(db, issuedByLab)?.kind === 'partner') return { lab: issuedByLab, person, grant };
  const ofPerson = person === undefined ? undefined : readPerson(db, person)?.labId;
  const ofGrant = grant === undefined ? undefined : readGrant(db, grant)?.spec.lab;
  return { lab: lab ?? ofPerson ?? ofGrant, person, grant };
}
