/** Objections to an order. Its effect goes on until they are decided. */
import { z } from 'zod';
import { refusal, type Refusal } from '../denials.ts';
import { instantSchema } from '../instants.ts';
import { proseSchema } from '../people.ts';
import { isInForce, LEVEL, levelSchema, measuresSchema, type Order } from './order.ts';
import { selectorSchema } from './selector.ts';
import { refusalOfLowering, type Lowered } from './steps.ts';

/** A measure that is proposed, or put, in the place of an order: less of the same. */
export const alternativeSchema = z.strictObject({
  level: levelSchema.optional().describe('As the order has it, where left out'),
  selector: selectorSchema.optional(),
  measures: measuresSchema.optional(),
  expiresAt: instantSchema.optional(),
});

export type Alternative = z.infer<typeof alternativeSchema>;

export const disputeSpecSchema = z.strictObject({
  grounds: proseSchema.describe('What is objected to, and why'),
  alternative: alternativeSchema
    .optional()
    .describe('A measure that would do: what it leaves out stays as the order has it'),
});

export const outcomeSchema = z
  .enum(['affirmed', 'modified', 'vacated'])
  .describe(
    'affirmed: the order stands; modified: an alternative takes its place; vacated: it ends',
  );

export type DisputeOutcome = z.infer<typeof outcomeSchema>;

export interface Dispute {
  id: string;
  orderId: string;
  /** The lab that objects, and who of it. */
  labId: string;
  personId: string;
  at: number;
  grounds: string;
  alternative: Alternative | null;
  /** When it is to be decided. */
  dueAt: number;
  /** When it was found overdue. */
  escalatedAt: number | null;
  outcome: DisputeOutcome | null;
  decidedBy: string | null;
  decidedAt: number | null;
  /** Why it was decided so. */
  decisionGrounds: string | null;
  newOrderId: string | null;
}

/**
 * Decides whether an objection can be filed: once by a person at a time, while the order is in force. What one researcher
 * objects to takes nothing from what their lead has to say.
 */
export function decideObjection(
  order: Order,
  open: readonly Dispute[],
  personId: string,
  now: number,
): Refusal | null {
  if (!isInForce(order, now)) return refusal('order_not_in_force', 'The order is over.');
  if (open.some((dispute) => dispute.personId === personId))
    return refusal(
      'already_exists',
      'You have objected to this order already; it is to be decided.',
    );
  return null;
}

/** What is proposed, or decided, in the place of an order. What it leaves out stays as the order has it. */
export function lesserOf(order: Order, alternative: Alternative): Lowered {
  const { level = order.level, selector = order.selector, expiresAt } = alternative;
  const measures = alternative.measures ?? (level === LEVEL.constrain ? order.measures : {});
  return { level, selector, measures, ...(expiresAt !== undefined && { expiresAt }) };
}

/** Why an alternative could never take the place of an order, or null: whoever proposes it hears of it at once. */
export function refusalOfAlternative(
  order: Order,
  alternative: Alternative | null,
): Refusal | null {
  const why = alternative && refusalOfLowering(order, lesserOf(order, alternative));
  return why && { ...why, param: 'alternative' };
}

/**
 * Whether an outcome can be that of an objection to an order. Of an order that is over, a ruling says whether it was
 * right, and changes nothing: whoever objected is owed an answer all the same.
 */
export const refusalOfOutcome = (
  order: Order,
  outcome: DisputeOutcome,
  now: number,
): Refusal | null =>
  outcome === 'modified' && !isInForce(order, now)
    ? refusal(
        'order_not_in_force',
        'The order is over: nothing can take its place. Decide "affirmed" (it was right) or "vacated" (it was not).',
      )
    : null;
