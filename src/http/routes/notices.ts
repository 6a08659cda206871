/** Notices, and their deliveries. */
import { z } from 'zod';
import {
  acknowledgeNotice,
  listDeliveries,
  listNotices,
  replayDeliveries,
  showNotice,
} from '../../broker/notices.ts';
import { DELIVERY_STATES } from '../../core/deliveries.ts';
import { idSchema } from '../../core/ids.ts';
import { NOTICE_KINDS } from '../../core/notices.ts';
import { slugSchema } from '../../core/vocabulary.ts';
import type { ListedDelivery } from '../../store/list-deliveries.ts';
import type { AcknowledgedNotice } from '../../store/list-notices.ts';
import { MOST_REPLAYED } from '../../store/operations/notices.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Notices';
const params = z.strictObject({ notice: idSchema('ntc') });
const kindSchema = z.enum(NOTICE_KINDS);

const noticeAnswer = named(
  'Notice',
  z.object({
    id: z.string(),
    at: instant,
    kind: kindSchema,
    ref: z.string().describe('Id of what it is about'),
    lab: z.string().describe('Whom it is addressed to'),
    person: z
      .string()
      .nullable()
      .describe('The one person of the lab whom it is addressed to; null: whoever answers for it'),
    title: z.string(),
    data: z.record(z.string(), z.unknown()),
    acknowledgedBy: z
      .array(z.object({ person: z.string(), at: instant }))
      .describe('Who has taken note, each for themselves'),
    unread: z.boolean().describe('Whether the caller has not acknowledged it'),
  }),
);

const show =
  (actorId: string) =>
  ({ labId, personId, acknowledgedBy, ...notice }: AcknowledgedNotice) => ({
    ...notice,
    at: toInstant(notice.at),
    lab: labId,
    person: personId,
    acknowledgedBy: acknowledgedBy.map((one) => ({
      person: one.personId,
      at: toInstant(one.at),
    })),
    unread: !acknowledgedBy.some((one) => one.personId === actorId),
  });

const deliveryAnswer = named(
  'Delivery',
  z.object({
    id: z.string(),
    notice: z.string(),
    kind: kindSchema.describe('Of the notice'),
    ref: z.string().describe('What the notice is about'),
    channel: z.string().describe('Its id in the configuration'),
    state: z.enum(DELIVERY_STATES).describe('dead: given up; it can be replayed'),
    attempts: z.int().describe('Since it was written, or replayed'),
    createdAt: instant,
    nextAt: instant.nullable().describe('When it is tried next; null unless pending'),
    endedAt: instant.nullable().describe('When it was delivered, or given up'),
    failure: z
      .object({
        code: z.string(),
        status: z.int().nullable().describe("The receiver's, of HTTP or SMTP"),
        at: instant,
      })
      .nullable()
      .describe('Of the last attempt that failed'),
  }),
);

const showDelivery = (delivery: ListedDelivery): z.input<typeof deliveryAnswer> => {
  const { failure, status, failedAt } = delivery;
  return {
    ...delivery,
    notice: delivery.noticeId,
    createdAt: toInstant(delivery.createdAt),
    nextAt: toInstantOrNull(delivery.nextAt),
    endedAt: toInstantOrNull(delivery.endedAt),
    failure:
      failure === null || failedAt === null
        ? null
        : { code: failure, status, at: toInstant(failedAt) },
  };
};

export const NOTICE_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/notices',
    action: 'notice.read',
    tag,
    summary: 'List notices',
    description:
      "Newest first. The host's people who answer for it, and auditor labs, get what is addressed to the host; a partner's lead, safety officers and auditors what is addressed to their lab; everybody what is addressed to themselves.",
    query: z.strictObject({
      ...pageQuery,
      kind: kindSchema.optional(),
      ref: z.string().max(200).optional().describe('Id of what it is about'),
      unread: z.enum(['true', 'false']).optional().describe('true: not acknowledged by the caller'),
      lab: idSchema('lab')
        .optional()
        .describe('For those who see the notices of all labs: those of this lab'),
    }),
    answer: pageOf(noticeAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) =>
          listNotices(broker, actorId, page, {
            kind: query.kind,
            ref: query.ref,
            unread: query.unread === 'true',
            labId: query.lab,
          }),
        show(actorId),
      ),
  }),
  route({
    method: 'get',
    path: '/api/v1/notices/:notice',
    action: 'notice.read',
    tag,
    summary: 'Show a notice',
    description: 'With who has taken note of it.',
    params,
    answer: noticeAnswer,
    handle: ({ broker, actorId, params: { notice } }) =>
      show(actorId)(showNotice(broker, actorId, notice)),
  }),
  route({
    method: 'post',
    path: '/api/v1/notices/:notice/ack',
    action: 'notice.acknowledge',
    tag,
    summary: 'Acknowledge a notice',
    description:
      'Says that the caller took note; it agrees to nothing. Each person speaks for themselves. Said again, it changes nothing.',
    params,
    answer: noticeAnswer,
    handle: async ({ broker, actorId, params: { notice } }) =>
      show(actorId)(await acknowledgeNotice(broker, actorId, notice)),
  }),
  route({
    method: 'get',
    path: '/api/v1/deliveries',
    action: 'delivery.read',
    tag,
    summary: 'List deliveries of notices',
    description: 'Newest first: what went out through the channels of the configuration.',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(DELIVERY_STATES).optional().describe('dead: those that were given up'),
      channel: slugSchema.optional(),
      notice: idSchema('ntc').optional(),
    }),
    answer: pageOf(deliveryAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) =>
          listDeliveries(broker, actorId, page, {
            state: query.state,
            channel: query.channel,
            noticeId: query.notice,
          }),
        showDelivery,
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/deliveries/replay',
    action: 'delivery.replay',
    tag,
    summary: 'Try dead deliveries again',
    description: `As if they were new: single ones, or those of a channel, the newest ${MOST_REPLAYED} at a time.`,
    body: z.union(
      [
        z.strictObject({
          deliveries: z.array(idSchema('dlv')).min(1).max(200).describe('Each of them dead'),
        }),
        z.strictObject({ channel: slugSchema }),
      ],
      {
        error:
          'must name either "deliveries" (1 to 200 ids of deliveries) or "channel" (its id in the configuration)',
      },
    ),
    answer: z.object({
      replayed: z.array(z.string()),
      more: z.boolean().describe('There are more of the channel: ask again'),
    }),
    handle: async ({ broker, actorId, body }) => {
      const selection = 'channel' in body ? body : { deliveryIds: body.deliveries };
      const { deliveryIds, more } = await replayDeliveries(broker, actorId, selection);
      return { replayed: deliveryIds, more };
    },
  }),
];
