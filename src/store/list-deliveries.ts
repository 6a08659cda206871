/** Lists of deliveries: for people, and of what is to be delivered now. */
import { and, asc, count, desc, eq, getTableColumns, lt, lte } from 'drizzle-orm';
import type { Delivery, DeliveryState } from '../core/deliveries.ts';
import type { NoticeKind } from '../core/notices.ts';
import type { Db } from './database.ts';
import { maybe, type PageRequest } from './page.ts';
import { deliveries, notices } from './schema.ts';

/** With what its notice tells. */
export interface ListedDelivery extends Delivery {
  kind: NoticeKind;
  ref: string;
}

export interface DeliveryFilter {
  state?: DeliveryState | undefined;
  channel?: string | undefined;
  noticeId?: string | undefined;
}

/** Newest first. */
export function listDeliveries(
  db: Db,
  { after, limit }: PageRequest,
  filter: DeliveryFilter,
): ListedDelivery[] {
  return db
    .select({ ...getTableColumns(deliveries), kind: notices.kind, ref: notices.ref })
    .from(deliveries)
    .innerJoin(notices, eq(notices.id, deliveries.noticeId))
    .where(
      and(
        maybe(after, (id) => lt(deliveries.id, id)),
        maybe(filter.state, (state) => eq(deliveries.state, state)),
        maybe(filter.channel, (channel) => eq(deliveries.channel, channel)),
        maybe(filter.noticeId, (id) => eq(deliveries.noticeId, id)),
      ),
    )
    .orderBy(desc(deliveries.id))
    .limit(limit)
    .all();
}

const due = (now: number) => and(eq(deliveries.state, 'pending'), lte(deliveries.nextAt, now));

export function channelsDue(db: Db, now: number): string[] {
  return db
    .selectDistinct({ channel: deliveries.channel })
    .from(deliveries)
    .where(due(now))
    .all()
    .map(({ channel }) => channel);
}

/** Longest due first. */
export function deliveriesDue(db: Db, channel: string, now: number, limit: number): Delivery[] {
  return db
    .select()
    .from(deliveries)
    .where(and(eq(deliveries.channel, channel), due(now)))
    .orderBy(asc(deliveries.nextAt))
    .limit(limit)
    .all();
}

export function countDeliveries(db: Db, state: DeliveryState): number {
  const found = db.select({ n: count() }).from(deliveries).where(eq(deliveries.state, state)).get();
  return found?.n ?? 0;
}
