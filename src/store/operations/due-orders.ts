/** What happens to orders by itself: they lapse, expire, or fall due for review. */
import type { Json } from '../../core/audit/entry.ts';
import { mintId } from '../../lib/ids.ts';
import { ownEnd, type Order } from '../../core/orders/order.ts';
import { takeOffDue } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { concernedBy, endOrder } from '../order-rows.ts';
import { peopleHolding } from '../holders.ts';
import { labsTold, readOrder } from '../records.ts';
import { ruleFor, tell } from './order-parts.ts';

/** Looks at an order whose moment has come. It has been without effect since its end; here that is put on record. */
export function lookAtOrder(context: WriterContext, id: string, now: number): void {
  const order = readOrder(context.db, id);
  if (!order || order.endedAt !== null) return;
  // However late this is: one look sees to all of it.
  takeOffDue(context, 'order', id, now);
  const end = ownEnd(order);
  if (end && end.at <= now) {
    const ended = endOrder(context, id, {
      at: end.at,
      by: null,
      because: end.because,
      grounds: null,
    });
    append(context, ended, 'order.lapsed', now, {
      because: end.because,
      endedAt: new Date(end.at).toISOString(),
    });
    const why = end.because === 'lapsed' ? 'nobody ratified it' : end.because.replaceAll('_', ' ');
    tell(context, ended, labsTold(context.db, ended.id), now, 'order.lapsed', `is over: ${why}`);
    return;
  }
  if (order.reviewDueAt !== null && order.reviewDueAt <= now) {
    const reviewers = reviewersOf(context, order);
    const told = reviewers.map(({ personId }) => personId);
    append(context, order, 'order.review_overdue', now, { told });
    tell(
      context,
      order,
      reviewers,
      now,
      'order.review_overdue',
      'goes on, and its review is overdue',
    );
    return;
  }
  if (end) {
    const at = new Date(end.at).toISOString();
    const way = end.because === 'lapsed' ? ' unless another person ratifies it' : '';
    tell(context, order, [], now, 'order.lapsing', `ends by itself at ${at}${way}`);
  }
  if (order.reviewDueAt !== null && order.reviewDueAt !== end?.at) {
    const at = new Date(order.reviewDueAt).toISOString();
    tell(context, order, [], now, 'order.review_due', `is to be reviewed until ${at}`);
  }
}

/** Whoever may review an order, in person: the issuer may not. */
function reviewersOf(context: WriterContext, order: Order): { labId: string; personId: string }[] {
  const { ratify, lift } = ruleFor(context, order);
  const { issuedBy, issuedByLab } = order;
  return peopleHolding(context, [...ratify, ...lift], issuedByLab).filter(
    ({ personId }) => personId !== issuedBy,
  );
}

function append(
  context: WriterContext,
  order: Order,
  kind: 'order.lapsed' | 'order.review_overdue',
  now: number,
  data: Record<string, Json>,
): void {
  context.append({
    id: mintId('ent', now),
    kind,
    at: now,
    actor: { system: 'broker' },
    ref: order.id,
    orders: [order.id],
    ...concernedBy(context, order),
    data,
  });
}
