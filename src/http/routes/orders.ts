/** Orders. */
import { z } from 'zod';
import { issueOrder, liftOrder } from '../../broker/issue-order.ts';
import { listOrders, showOrder } from '../../broker/show-orders.ts';
import { idSchema } from '../../core/ids.ts';
import { orderSpecSchema, selectorSchema, type Order } from '../../core/orders.ts';
import { proseSchema } from '../../core/people.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Orders';
const params = z.strictObject({ order: idSchema('ord') });

const orderShape = z.object({
  id: z.string(),
  level: z.number(),
  selector: selectorSchema,
  grounds: z.string(),
  authority: z.string(),
  evidence: z.string().optional().describe("Not shown to a partner's people"),
  inForce: z.boolean(),
  issuedBy: z.string(),
  issuedAt: instant,
  liftedBy: z.string().nullable(),
  liftedAt: instant.nullable(),
  liftGrounds: z.string().nullable(),
});
const orderAnswer = named('Order', orderShape);

const issuedAnswer = named(
  'IssuedOrder',
  orderShape.extend({
    cut: z
      .array(
        z.object({
          requestId: z.string(),
          personId: z.string(),
          grantId: z.string(),
          at: instant,
        }),
      )
      .describe('Requests in flight that it cut'),
    warning: z
      .string()
      .nullable()
      .describe('Set when the selector matches nothing that exists; the order is in force'),
  }),
);

const show = (order: Order): z.input<typeof orderAnswer> => ({
  ...order,
  inForce: order.liftedAt === null,
  issuedAt: toInstant(order.issuedAt),
  liftedAt: toInstantOrNull(order.liftedAt),
});

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
        show,
      ),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders',
    action: 'order.issue',
    tag,
    summary: 'Issue an order',
    description:
      'When this returns, no request in its scope passes any more and those in flight have been cut.',
    body: named('OrderSpec', orderSpecSchema),
    status: 201,
    answer: issuedAnswer,
    handle: async ({ broker, actorId, body }) => {
      const { order, cut, warning = null } = await issueOrder(broker, actorId, body);
      return {
        ...show(order),
        cut: cut.map((one) => ({ ...one, at: toInstant(one.at) })),
        warning,
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/orders/:order',
    action: 'order.read',
    tag,
    summary: 'Show an order',
    description: 'In force until somebody other than its issuer lifts it.',
    params,
    answer: orderAnswer,
    handle: ({ broker, actorId, params: { order } }) => show(showOrder(broker, actorId, order)),
  }),
  route({
    method: 'post',
    path: '/api/v1/orders/:order/lift',
    action: 'order.lift',
    tag,
    summary: 'Lift an order',
    description: 'Takes another person than the one who issued it.',
    params,
    body: z.strictObject({ grounds: proseSchema.describe('Why; kept in the record') }),
    answer: orderAnswer,
    handle: async ({ broker, actorId, params: { order }, body }) =>
      show(await liftOrder(broker, actorId, order, body.grounds)),
  }),
];
