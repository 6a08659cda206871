/** What is shown of an order, of a preview, and of an objection. */
import { z } from 'zod';
import type { OrderPreview } from '../broker/preview-order.ts';
import type { showOrderWhole } from '../broker/show-orders.ts';
import { alternativeSchema, outcomeSchema, type Dispute } from '../core/orders/disputes.ts';
import {
  authorityClaimSchema,
  evidenceSchema,
  isInForce,
  levelName,
  measuresSchema,
  missingOf,
  ownEnd,
  revised,
  type Order,
} from '../core/orders/order.ts';
import { selectorSchema } from '../core/orders/selector.ts';
import { BANDS, bandOf, severitySchema } from '../core/orders/severity.ts';
import { revisionOf } from '../core/revision.ts';
import { instant, named, toInstant, toInstantOrNull } from './schemas.ts';

const orderShape = z.object({
  id: z.string(),
  revision: z.string().describe('Which state of the order this is: what If-Match takes'),
  level: z.int(),
  levelName: z.string(),
  selector: selectorSchema,
  measures: measuresSchema,
  grounds: z.string(),
  authority: authorityClaimSchema,
  evidence: evidenceSchema.optional().describe("Not shown to a partner's people"),
  severity: severitySchema.optional(),
  band: z.enum(BANDS).nullable().describe('What the severity computes to'),
  whyNotLower: z.string().optional(),
  missing: z.array(z.string()).describe('What should have been said and was not'),
  inForce: z.boolean().describe('At this moment, by the function that decides requests'),
  ratified: z.boolean().describe('Whether everybody has acted who must'),
  endsAt: instant.nullable().describe('When it ends by itself if nothing else happens'),
  lapsesAt: instant.nullable().describe('When it lapses unless ratified; null: it stands'),
  reviewDueAt: instant.nullable(),
  issuedBy: z.string(),
  issuedAt: instant,
  ratifiedBy: z.string().nullable(),
  ratifiedAt: instant.nullable(),
  replaces: z.string().nullable().describe('The order whose place it took'),
  loweredBy: z.string().nullable(),
  ended: z
    .object({
      at: instant,
      by: z.string().nullable().describe('null: it ended by itself'),
      because: z.string(),
      grounds: z.string().nullable(),
    })
    .nullable(),
});

export const orderAnswer = named('Order', orderShape);

/** An order as the API answers it. */
export function showOrderAnswer(order: Order, now: number): z.input<typeof orderAnswer> {
  const { endedAt, endedBecause, endedBy, endGrounds, severity } = order;
  const own = ownEnd(order);
  // What ended by itself is over from that moment, whether or not it has been put on record yet.
  const over = own && own.at <= now && endedAt === null ? own : undefined;
  const at = endedAt ?? over?.at ?? null;
  return {
    ...order,
    revision: revisionOf(revised(order)),
    levelName: levelName(order.level),
    band: severity ? bandOf(severity) : null,
    missing: missingOf(order),
    inForce: isInForce(order, now),
    ratified: order.lapsesAt === null,
    endsAt: toInstantOrNull(endedAt === null ? (own?.at ?? null) : null),
    lapsesAt: toInstantOrNull(order.lapsesAt),
    reviewDueAt: toInstantOrNull(order.reviewDueAt),
    issuedAt: toInstant(order.issuedAt),
    ratifiedAt: toInstantOrNull(order.ratifiedAt),
    ended:
      at === null
        ? null
        : {
            at: toInstant(at),
            by: endedBy,
            because: endedBecause ?? over?.because ?? 'lapsed',
            grounds: endGrounds,
          },
  };
}

const whoMayShape = {
  ratifiers: z
    .array(z.string())
    .describe('Who may make it stand, of those who did not issue it; empty: it stands'),
  lifters: z.array(z.string()).describe('Who may end or lower it, of those who did not issue it'),
};

export const issuedAnswer = named(
  'IssuedOrder',
  orderShape.extend({
    ...whoMayShape,
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

export const disputeAnswer = named(
  'Dispute',
  z.object({
    id: z.string(),
    revision: z.string().describe('Which state of the objection this is: what If-Match takes'),
    orderId: z.string(),
    labId: z.string(),
    personId: z.string(),
    at: instant,
    grounds: z.string(),
    alternative: alternativeSchema.nullable(),
    dueAt: instant,
    escalatedAt: instant.nullable().describe('When it was found overdue'),
    outcome: outcomeSchema.nullable(),
    decidedBy: z.string().nullable(),
    decidedAt: instant.nullable(),
    decisionGrounds: z.string().nullable(),
    newOrderId: z.string().nullable(),
  }),
);

/** An objection as the API answers it. */
export const showDisputeAnswer = (dispute: Dispute): z.input<typeof disputeAnswer> => ({
  ...dispute,
  revision: revisionOf(dispute),
  at: toInstant(dispute.at),
  dueAt: toInstant(dispute.dueAt),
  escalatedAt: toInstantOrNull(dispute.escalatedAt),
  decidedAt: toInstantOrNull(dispute.decidedAt),
});

export const wholeOrderAnswer = named(
  'WholeOrder',
  orderShape.extend({
    ...whoMayShape,
    disputes: z.array(disputeAnswer),
    acknowledgements: z.array(
      z.object({
        personId: z.string(),
        labId: z.string(),
        at: instant,
        underObjection: z.boolean().describe('Complied under objection'),
      }),
    ),
  }),
);

/** An order with what came of it, as the API answers it. */
export const showWholeOrder = (
  { order, ratifiers, lifters, disputes, acknowledgements }: ReturnType<typeof showOrderWhole>,
  now: number,
): z.input<typeof wholeOrderAnswer> => ({
  ...showOrderAnswer(order, now),
  ratifiers: [...ratifiers],
  lifters: [...lifters],
  disputes: disputes.map(showDisputeAnswer),
  acknowledgements: acknowledgements.map((one) => ({ ...one, at: toInstant(one.at) })),
});

const count = z.int();
const staying = { grants: count, people: count, tokens: count, live: count };

export const previewAnswer = named(
  'OrderPreview',
  z.object({
    stops: z.object({
      grants: z.array(z.string()).describe('Under which nothing would pass any more'),
      labs: z.array(z.string()),
      people: z.array(
        z.object({
          personId: z.string(),
          grantId: z.string(),
          labId: z.string(),
          keepsPart: z.boolean().describe('Whether some of the access is left'),
        }),
      ),
      tokens: z.array(
        z.object({
          tokenId: z.string(),
          personId: z.string(),
          grantId: z.string(),
          runId: z.string().nullable(),
        }),
      ),
      runs: z.array(z.string()),
      live: z.array(
        z.object({
          requestId: z.string(),
          personId: z.string(),
          grantId: z.string(),
          stream: z.boolean(),
        }),
      ),
    }),
    stays: z.object(staying).describe('What keeps the whole of its access'),
    stopsEverything: z.boolean(),
    warning: z.string().nullable(),
    missing: z.array(z.string()),
    suggested: z
      .object({ band: z.enum(BANDS), level: z.int() })
      .nullable()
      .describe('What the severity speaks for'),
    narrower: z
      .array(
        z.object({
          level: z.int(),
          selector: selectorSchema,
          measures: measuresSchema,
          because: z.string(),
          ...staying,
        }),
      )
      .describe('Lesser orders that would cover the same facts, and what would stay'),
  }),
);

/** A preview as the API answers it. */
export const showPreview = (preview: OrderPreview): z.input<typeof previewAnswer> => ({
  ...preview,
  warning: preview.warning ?? null,
});
