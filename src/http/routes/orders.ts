/** Orders: from preview to end. */
import { z } from 'zod';
import {
  acknowledgeOrder,
  decideDispute,
  issueOrder,
  liftOrder,
  lowerOrder,
  objectToOrder,
  ratifyOrder,
  reviewOrder,
  supplementOrder,
} from '../../broker/issue-order.ts';
import { previewOrder } from '../../broker/preview-order.ts';
import { listDisputes, listOrders, showOrderWhole } from '../../broker/show-orders.ts';
import { idSchema } from '../../core/ids.ts';
import { instantSchema } from '../../core/instants.ts';
import { alternativeSchema, disputeSpecSchema, outcomeSchema } from '../../core/orders/disputes.ts';
import {
  levelSchema,
  measuresSchema,
  orderSpecSchema,
  supplementSchema,
} from '../../core/orders/order.ts';
import { partsSchema, selectorSchema } from '../../core/orders/selector.ts';
import { proseSchema } from '../../core/people.ts';
import {
  disputeAnswer,
  issuedAnswer,
  orderAnswer,
  previewAnswer,
  showDisputeAnswer,
  showOrderAnswer,
  showPreview,
  showWholeOrder,
  wholeOrderAnswer,
} from '../order-answer.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { named, toInstant } from '../schemas.ts';

const tag = 'Orders';
const params = z.strictObject({ order: idSchema('ord') });
const grounds = proseSchema.describe('Why; kept in the record');
const spec = named('OrderSpec', orderSpecSchema);

export const ORDER_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/orders',
    action: 'order.read',
    tag,
    summary: 'List orders',
    description: "Newest first. A partner's people see those that touch their lab.",
    query: z.strictObject({
      ...pageQuery,
      inForce: z.enum(['true', 'false']).optional().describe('true: only those in force'),
    }),
    answer: pageOf(orderAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) => listOrders(broker, actorId, page, { inForce: query.inForce === 'true' }),
        (order) => showOrderAnswer(order, broker.clock()),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders',
    action: 'order.issue',
    tag,
    summary: 'Issue an order',
    description:
      'When this returns, no request in its scope passes any more and those in flight have been cut. What stops everything has to be confirmed.',
    query: z.strictObject({
      confirmed: z
        .enum(['true', 'false'])
        .optional()
        .describe('true: it is meant, should it stop everything'),
    }),
    body: spec,
    status: 201,
    revised: true,
    answer: issuedAnswer,
    handle: async ({ broker, actorId, query, body }) => {
      const issued = await issueOrder(broker, actorId, body, query.confirmed === 'true');
      return {
        ...showOrderAnswer(issued.order, broker.clock()),
        cut: issued.cut.map((one) => ({ ...one, at: toInstant(one.at) })),
        warning: issued.warning ?? null,
        ratifiers: [...issued.ratifiers],
        lifters: [...issued.lifters],
      };
    },
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/preview',
    action: 'order.preview',
    tag,
    summary: 'Preview an order',
    description:
      'Exactly who and what it would stop at this moment, what would stay, and lesser orders that would cover the same facts. Changes nothing.',
    body: z.strictObject({
      order: spec,
      finding: partsSchema
        .optional()
        .describe('What is known of what happened, in the parts of a selector'),
    }),
    answer: previewAnswer,
    handle: async ({ broker, actorId, body }) =>
      showPreview(await previewOrder(broker, actorId, body.order, body.finding)),
  }),
  route({
    method: 'get',
    path: '/api/v1/orders/:order',
    action: 'order.read',
    tag,
    summary: 'Show an order',
    description: 'With who took notice of it, and the objections to it.',
    params,
    revised: true,
    answer: wholeOrderAnswer,
    handle: ({ broker, actorId, params: { order } }) =>
      showWholeOrder(showOrderWhole(broker, actorId, order), broker.clock()),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/ratify',
    action: 'order.ratify',
    tag,
    summary: 'Ratify an order',
    description:
      'Makes it stand: until then it lapses by itself. Takes another person than its issuer, with the role that the rules of its level name.',
    params,
    body: z.strictObject({}),
    revised: true,
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, ifMatch }) =>
      showOrderAnswer(await ratifyOrder(broker, actorId, order, ifMatch), broker.clock()),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/review',
    action: 'order.review',
    tag,
    summary: 'Record that an order was reviewed and goes on',
    description: 'Sets its next review. Takes another person than its issuer.',
    params,
    body: z.strictObject({ grounds }),
    revised: true,
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, body, ifMatch }) =>
      showOrderAnswer(
        await reviewOrder(body.grounds, broker, actorId, order, ifMatch),
        broker.clock(),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/supplement',
    action: 'order.supplement',
    tag,
    summary: 'Add what an order should have said',
    description:
      'Evidence, severity, why lower levels fail, the instrument: asked for afterwards where there was no time.',
    params,
    body: supplementSchema,
    revised: true,
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, body, ifMatch }) =>
      showOrderAnswer(await supplementOrder(body, broker, actorId, order, ifMatch), broker.clock()),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/lower',
    action: 'order.lower',
    tag,
    summary: 'Lower an order',
    description:
      'Puts a lesser order in its place, in one step: of a lower level, or narrower. Takes another person than its issuer. Answers the new order.',
    params,
    body: z.strictObject({
      level: levelSchema,
      selector: selectorSchema.optional().describe('Left out: as it is'),
      measures: measuresSchema.default({}),
      expiresAt: instantSchema.optional(),
      grounds,
    }),
    revised: true,
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, body, ifMatch }) =>
      showOrderAnswer(await lowerOrder(body, broker, actorId, order, ifMatch), broker.clock()),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/lift',
    action: 'order.lift',
    tag,
    summary: 'Lift an order',
    description: 'Takes another person than the one who issued it.',
    params,
    body: z.strictObject({ grounds }),
    revised: true,
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, body, ifMatch }) =>
      showOrderAnswer(
        await liftOrder(broker, actorId, order, body.grounds, ifMatch),
        broker.clock(),
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/acknowledge',
    action: 'order.acknowledge',
    tag,
    summary: 'Take notice of an order',
    description: 'Under objection, where the lab has objected to it.',
    params,
    body: z.strictObject({}),
    answer: z.object({ underObjection: z.boolean() }),
    handle: ({ broker, actorId, params: { order } }) => acknowledgeOrder(broker, actorId, order),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/object',
    action: 'order.object',
    tag,
    summary: 'Object to an order',
    description:
      'For those concerned, once by a lab at a time. The order goes on until it is decided; overdue, it goes to those who answer for that.',
    params,
    body: disputeSpecSchema,
    status: 201,
    answer: disputeAnswer,
    handle: async ({ broker, actorId, params: { order }, body }) =>
      showDisputeAnswer(
        await objectToOrder(
          { grounds: body.grounds, alternative: body.alternative ?? null },
          broker,
          actorId,
          order,
        ),
      ),
  }),
  route({
    method: 'get',
    path: '/api/v1/disputes',
    action: 'order.read',
    tag,
    summary: 'List objections',
    description:
      "By when they are to be decided: overdue ones first. A partner's people see those of their lab.",
    query: z.strictObject({
      ...pageQuery,
      open: z
        .enum(['true', 'false'])
        .optional()
        .describe('true: only those to be decided, also of orders that are over'),
    }),
    answer: pageOf(disputeAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(
        query,
        (page) => listDisputes(broker, actorId, page, { isOpen: query.open === 'true' }),
        showDisputeAnswer,
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/disputes/:dispute/decide',
    action: 'dispute.decide',
    tag,
    summary: 'Decide an objection',
    description:
      'Takes another person than the issuer of the order. modified: what was proposed, or the alternative given here, takes its place.',
    params: z.strictObject({ dispute: idSchema('dsp') }),
    body: z.strictObject({
      outcome: outcomeSchema,
      grounds: proseSchema.describe('Why; told to those concerned'),
      alternative: alternativeSchema.optional(),
    }),
    revised: true,
    answer: disputeAnswer,
    handle: async ({ broker, actorId, params: { dispute }, body, ifMatch }) => {
      const input = { ...body, alternative: body.alternative ?? null };
      return showDisputeAnswer(await decideDispute(broker, actorId, dispute, input, ifMatch));
    },
  }),
];
