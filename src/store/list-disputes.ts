/** Lists objections to orders. */
import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { Dispute } from '../core/orders/disputes.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { disputes } from './schema.ts';

export interface DisputeFilter {
  /** Only of this lab. */
  labId?: string | undefined;
  /** Only those that nobody has decided. */
  isOpen: boolean;
}

/** By when they are to be decided, so that what is overdue comes first. That moment never changes. */
export function listDisputes(
  db: Db,
  { after, limit }: PageRequest,
  { labId, isOpen }: DisputeFilter,
): Dispute[] {
  return db
    .select()
    .from(disputes)
    .where(
      and(
        maybe(
          after,
          (id) =>
            sql`(${disputes.dueAt}, ${disputes.id}) > (SELECT due_at, id FROM disputes WHERE id = ${id})`,
        ),
        maybe(labId, (id) => eq(disputes.labId, id)),
        isOpen ? isNull(disputes.outcome) : undefined,
      ),
    )
    .orderBy(asc(disputes.dueAt), asc(disputes.id))
    .limit(limit)
    .all();
}
