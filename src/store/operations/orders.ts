/** Orders. */
import { eq } from 'drizzle-orm';
import type { EntryDraft } from '../../core/audit/entry.ts';
import { RefusedError, refuse } from '../../core/denials.ts';
import { decideLift, type Order, type OrderSpec } from '../../core/orders.ts';
import type { WriterContext } from '../context.ts';
import { readGrant, readOrder, readPerson } from '../records.ts';
import { orders } from '../schema.ts';
import { controlOperation, type By } from './operation.ts';

export const issueOrder = controlOperation(
  'order.issue',
  (context, args: { by: By; id: string; spec: OrderSpec }, who): Order => {
    const order: Order = {
      ...args.spec,
      id: args.id,
      issuedBy: who.member.person.id,
      issuedAt: args.by.at,
      liftedBy: null,
      liftedAt: null,
      liftGrounds: null,
    };
    const { id, issuedBy, issuedAt, liftedBy, liftedAt, liftGrounds } = order;
    context.db
      .insert(orders)
      .values({ id, spec: args.spec, issuedBy, issuedAt, liftedBy, liftedAt, liftGrounds })
      .run();
    context.changed({ kind: 'order', value: order });
    context.append({
      id: args.by.entryId,
      kind: 'order.issued',
      at: args.by.at,
      actor: who.actor,
      ref: order.id,
      orders: [order.id],
      ...concerned(context, order),
      data: args.spec,
    });
    return order;
  },
);

export const liftOrder = controlOperation(
  'order.lift',
  (context, args: { by: By; orderId: string; grounds: string }, who): Order => {
    const order =
      readOrder(context.db, args.orderId) ?? refuse('not_found', 'There is no such order.');
    const why = decideLift(order, who.member);
    if (why) throw new RefusedError(why);
    context.db
      .update(orders)
      .set({ liftedBy: who.member.person.id, liftedAt: args.by.at, liftGrounds: args.grounds })
      .where(eq(orders.id, order.id))
      .run();
    const lifted = readOrder(context.db, order.id) as Order;
    context.changed({ kind: 'order', value: lifted });
    context.append({
      id: args.by.entryId,
      kind: 'order.lifted',
      at: args.by.at,
      actor: who.actor,
      ref: order.id,
      orders: [order.id],
      ...concerned(context, order),
      data: { grounds: args.grounds },
    });
    return lifted;
  },
  (args) => args.orderId,
);

/** The lab, person and grant that an order is about, where it is about one: they may read its entries. */
function concerned(
  { db }: WriterContext,
  { selector }: Order,
): Pick<EntryDraft, 'lab' | 'person' | 'grant'> {
  if ('lab' in selector) return { lab: selector.lab };
  if ('grant' in selector) {
    return { lab: readGrant(db, selector.grant)?.spec.lab, grant: selector.grant };
  }
  if ('person' in selector) {
    return { lab: readPerson(db, selector.person)?.labId, person: selector.person };
  }
  return {};
}
