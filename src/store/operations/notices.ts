/** Acknowledging notices; what becomes of their deliveries. */
import { and, desc, eq, inArray, lt } from 'drizzle-orm';
import type { DeliveryFailure } from '../../core/deliveries.ts';
import { refuse } from '../../core/denials.ts';
import { isAddressedTo, maySee } from '../../core/notices.ts';
import type { WriterContext } from '../context.ts';
import { readNotice, type AcknowledgedNotice } from '../list-notices.ts';
import { deliveries, noticeAcknowledgements } from '../schema.ts';
import { controlOperation, type By, type Operation } from './operation.ts';

/** Of one step: their ids have room in one entry. */
export const MOST_REPLAYED = 500;

/** A person says that they took note. Whoever has said so already says nothing new. */
export const acknowledgeNotice = controlOperation<{ by: By; noticeId: string }, AcknowledgedNotice>(
  'notice.acknowledge',
  (context, { by, noticeId }, { member, reach, actor }) => {
    const notice = mustFind(context, noticeId);
    if (!maySee(reach, member, notice)) refuse('not_found');
    if (!isAddressedTo(member, notice, context.host)) refuse('notice_of_others');
    const personId = member.person.id;
    if (notice.acknowledgedBy.some((one) => one.personId === personId)) return notice;
    context.db.insert(noticeAcknowledgements).values({ noticeId, personId, at: by.at }).run();
    context.append({
      id: by.entryId,
      kind: 'notice.acknowledged',
      at: by.at,
      actor,
      ref: noticeId,
      lab: member.lab.id,
      person: personId,
      data: { kind: notice.kind, about: notice.ref, to: notice.personId ?? notice.labId },
    });
    return mustFind(context, noticeId);
  },
  ({ noticeId }) => noticeId,
);

function mustFind({ db }: WriterContext, noticeId: string): AcknowledgedNotice {
  return readNotice(db, noticeId) ?? refuse('not_found');
}

/** How an attempt of a delivery ended. */
export type AttemptResult =
  | { delivered: true }
  | {
      delivered: false;
      failure: DeliveryFailure;
      status: number | null;
      /** When it is tried again; null: it is given up. */
      nextAt: number | null;
    };

interface AttemptArgs {
  at: number;
  /** Used where it is given up. */
  entryId: string;
  deliveryId: string;
  result: AttemptResult;
}

/** Notes how an attempt ended. One that is given up is on record. */
export const recordAttempt: Operation<AttemptArgs, void> = {
  run(context, { at, entryId, deliveryId, result }) {
    const { db } = context;
    const delivery = db.select().from(deliveries).where(eq(deliveries.id, deliveryId)).get();
    if (delivery?.state !== 'pending') return;
    const attempts = delivery.attempts + 1;
    const update = (values: Partial<typeof deliveries.$inferInsert>): void => {
      db.update(deliveries)
        .set({ attempts, ...values })
        .where(eq(deliveries.id, deliveryId))
        .run();
    };
    if (result.delivered) return update({ state: 'delivered', nextAt: null, endedAt: at });
    const { failure, status, nextAt } = result;
    if (nextAt !== null) return update({ failure, status, failedAt: at, nextAt });
    update({ state: 'dead', failure, status, failedAt: at, nextAt: null, endedAt: at });
    const notice = mustFind(context, delivery.noticeId);
    const { id, labId, kind, ref } = notice;
    context.append({
      id: entryId,
      kind: 'notice.undelivered',
      at,
      actor: { system: 'broker' },
      ref: id,
      lab: labId,
      person: notice.personId ?? undefined,
      data: {
        delivery: deliveryId,
        channel: delivery.channel,
        kind,
        about: ref,
        attempts,
        failure,
        ...(status === null ? {} : { status }),
      },
    });
  },
};

/** Which dead deliveries are to be tried again: single ones, or all of a channel. */
export type ReplaySelection = { deliveryIds: string[] } | { channel: string };

export interface Replayed {
  deliveryIds: string[];
  /** There are more of the channel: ask again. */
  more: boolean;
}

/** Has dead deliveries tried again, as if they were new. */
export const replayDeliveries = controlOperation<{ by: By; selection: ReplaySelection }, Replayed>(
  'delivery.replay',
  (context, { by, selection }, { actor }) => {
    const { db } = context;
    const rows = db
      .select()
      .from(deliveries)
      .where(
        and(
          eq(deliveries.state, 'dead'),
          'channel' in selection
            ? eq(deliveries.channel, selection.channel)
            : inArray(deliveries.id, selection.deliveryIds),
        ),
      )
      .orderBy(desc(deliveries.id))
      .limit(MOST_REPLAYED + 1)
      .all();
    const dead = rows.slice(0, MOST_REPLAYED);
    if ('deliveryIds' in selection) mustBeAllOf(dead, selection.deliveryIds);
    if (dead.length === 0) return { deliveryIds: [], more: false };
    for (const { channel } of dead) {
      if (context.channels.some(({ id }) => id === channel)) continue;
      refuse(
        'invalid_request',
        `The configuration has no channel "${channel}" any more. Give it back to the configuration and start the broker again, then replay.`,
      );
    }
    const deliveryIds = dead.map(({ id }) => id);
    db.update(deliveries)
      .set({ state: 'pending', attempts: 0, nextAt: by.at, endedAt: null })
      .where(inArray(deliveries.id, deliveryIds))
      .run();
    context.append({
      id: by.entryId,
      kind: 'notice.replayed',
      at: by.at,
      actor,
      data: {
        ...('channel' in selection ? { channel: selection.channel } : {}),
        deliveries: deliveryIds,
      },
    });
    return { deliveryIds, more: rows.length > dead.length };
  },
);

function mustBeAllOf(dead: { id: string }[], asked: readonly string[]): void {
  const missing = asked.find((id) => !dead.some((row) => row.id === id));
  if (missing === undefined) return;
  refuse(
    'not_found',
    `There is no dead delivery ${missing}. See them with "sallyport notice deliveries --state dead".`,
  );
}

/** What was delivered is of no use to anybody for longer. */
const KEEP_DELIVERED_MS = 30 * 24 * 3_600_000;

/** Forgets deliveries that were made a month ago and more; the notices, and what is dead, stay. */
export const forgetDelivered: Operation<{ now: number }, void> = {
  run({ db }, { now }) {
    db.delete(deliveries)
      .where(
        and(eq(deliveries.state, 'delivered'), lt(deliveries.endedAt, now - KEEP_DELIVERED_MS)),
      )
      .run();
  },
};
