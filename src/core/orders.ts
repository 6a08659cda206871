/** Orders: instructions that narrow access. They overlay grants and never edit them. */
import { z } from 'zod';
import { refusal, type DenialCode, type Refusal } from './denials.ts';
import { idSchema } from './ids.ts';
import { proseSchema, type Member } from './people.ts';
import { modelSchema, slugSchema } from './vocabulary.ts';

/** What an order stops: everything, or all that matches one of these. */
export const selectorSchema = z
  .union([
    z.strictObject({ all: z.literal(true) }),
    z.strictObject({ grant: idSchema('grt') }),
    z.strictObject({ lab: idSchema('lab') }),
    z.strictObject({ endpoint: slugSchema }),
    z.strictObject({ model: modelSchema }),
    z.strictObject({ person: idSchema('per') }),
  ])
  .describe('Exactly one of: all, grant, lab, endpoint, model, person');

export type Selector = z.infer<typeof selectorSchema>;

export const orderSpecSchema = z.strictObject({
  level: z.literal(4, 'only level 4 (suspend) is supported so far').default(4),
  selector: selectorSchema,
  grounds: proseSchema.describe('Why: shown to those concerned and kept in the record'),
  authority: z
    .string()
    .trim()
    .min(1)
    .max(500)
    .default('safety officer of the host lab')
    .describe('In what capacity, or on whose instruction'),
  evidence: z.string().trim().max(2_000).optional().describe('What the order rests on'),
});

export type OrderSpec = z.infer<typeof orderSpecSchema>;

export interface Order extends OrderSpec {
  id: string;
  issuedBy: string;
  issuedAt: number;
  liftedBy: string | null;
  liftedAt: number | null;
  liftGrounds: string | null;
}

/** What an order is held against. A subject may lack a part: a grant as a whole names no person. */
export interface OrderSubject {
  grantId: string;
  labId: string;
  personId?: string | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
}

/** The reason a subject is refused for, or null where the order does not touch it. */
function orderReason(order: Order, subject: OrderSubject): DenialCode | null {
  const { selector } = order;
  if ('all' in selector) return 'access_suspended';
  if ('grant' in selector) return selector.grant === subject.grantId ? 'grant_suspended' : null;
  if ('lab' in selector) return selector.lab === subject.labId ? 'lab_suspended' : null;
  if ('person' in selector) return selector.person === subject.personId ? 'person_suspended' : null;
  if ('endpoint' in selector)
    return selector.endpoint === subject.endpoint ? 'endpoint_suspended' : null;
  return selector.model === subject.model ? 'model_suspended' : null;
}

/** The refusal that orders in force cause for a subject, naming every order that applies; null if none does. */
export function refusalByOrders(orders: readonly Order[], subject: OrderSubject): Refusal | null {
  let code: DenialCode | null = null;
  const ids: string[] = [];
  for (const order of orders) {
    const reason = orderReason(order, subject);
    if (!reason) continue;
    code ??= reason;
    ids.push(order.id);
  }
  if (!code) return null;
  const what = refusal(code).message.replace(/\.$/, '');
  return refusal(code, `${what} (${ids.join(', ')}; level 4, suspend). Ask the host lab.`, {
    orders: ids,
  });
}

/** Decides whether a person may lift an order. Loosening takes a second person. */
export function decideLift(order: Order, actor: Member): Refusal | null {
  if (order.liftedAt !== null)
    return refusal('order_not_in_force', 'The order was lifted already.');
  if (order.issuedBy === actor.person.id) return refusal('second_person_needed');
  return null;
}
