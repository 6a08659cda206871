/** Lists objections to orders. */
import { and, asc, eq, getTableColumns, isNull, sql } from 'drizzle-orm';
import type { Dispute } from '../core/orders/disputes.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { disputes, orders } from './schema.ts';

export interface DisputeFilter {
  /** Only of this lab. */
  labId?: string | undefined;
  /** Only those to be decided: nobody has, and their order is in force. */
  isOpen: boolean;
}

/** By when they are to be decided, so that what is overdue comes first. That moment never changes. */
export function listDisputes(
  db: Db,
  { after, limit }: PageRequest,
  { labId, isOpen }: DisputeFilter,
): Dispute[] {
  return db
    .select(getTableColumns(disputes))
    .from(disputes)
    .innerJoin(orders, eq(orders.id, disputes.orderId))
    .where(
      and(
        maybe(
          after,
          (id) =>
            sql`(${disputes.dueAt}, ${disputes.id}) > (SELECT due_at, id FROM disputes WHERE id = ${id})`,
        ),
        maybe(labId, (id) => eq(disputes.labId, id)),
        isOpen ? and(isNull(disputes.outcome), isNull(orders.endedAt)) : undefined,
      ),
    )
    .orderBy(asc(disputes.dueAt), asc(disputes.id))
    .limit(limit)
    .all();
}
