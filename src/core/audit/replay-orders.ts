/** Replays entries about orders, notice taken of them, and objections. */
import { z } from 'zod';
import { alternativeSchema, outcomeSchema, type Dispute } from '../orders/disputes.ts';
import {
  JUST_ISSUED,
  LEVEL,
  evidenceSchema,
  orderSpecSchema,
  ownEnd,
  supplementSchema,
  type EndedBecause,
  type Order,
  type OrderSpec,
} from '../orders/order.ts';
import { partsOf, selectorSchema } from '../orders/selector.ts';
import {
  Gap,
  actingPerson,
  dataOf,
  momentSchema,
  mustHave,
  type LoggedEntry,
} from './logged-entry.ts';
import type { Replayed } from './replayed.ts';

const timesSchema = z.object({
  lapsesAt: momentSchema.nullable(),
  reviewDueAt: momentSchema.nullable(),
  lapsesUnreviewed: z.boolean(),
});

/** An order as versions before 0.4 had it: it suspends until somebody lifts it. */
const before04Schema = z.object({
  selector: selectorSchema,
  grounds: z.string(),
  authority: z.string(),
  evidence: z.string().optional(),
});

/** Text and times of an order that begins. */
function begun(data: unknown): Pick<Order, keyof z.infer<typeof timesSchema>> & OrderSpec {
  const times = timesSchema.safeParse(data).data;
  if (!times) {
    const { data: old, error } = before04Schema.safeParse(data);
    if (error) throw new Gap(`This version cannot read the order: ${error.message}`);
    const { selector, grounds, authority, evidence } = old;
    return {
      level: LEVEL.suspend,
      selector,
      grounds,
      measures: {},
      authority: { kind: 'officer', text: authority },
      ...(evidence !== undefined && { evidence: { class: 'reported', text: evidence } }),
      lapsesAt: null,
      reviewDueAt: null,
      lapsesUnreviewed: false,
    };
  }
  const shape = Object.keys(orderSpecSchema.shape);
  const said = Object.entries(data as object).filter(([name]) => shape.includes(name));
  const { data: spec, error } = orderSpecSchema.safeParse(Object.fromEntries(said));
  if (error) throw new Gap(`This version cannot read the order: ${error.message}`);
  return { ...spec, ...times };
}

/** Whoever issued an order before that was recorded had the first part. */
const issuedAsSchema = z.object({ issuedAs: z.enum(['issuer', 'ratifier']).catch('issuer') });

function add(
  { orders }: Replayed,
  id: string,
  at: number,
  data: unknown,
  whose: Pick<Order, 'issuedBy' | 'issuedByLab'> & Partial<Order>,
): void {
  const order = begun(data);
  const { issuedAs } = issuedAsSchema.parse(data);
  orders.set(id, {
    ...order,
    id,
    issuedAs,
    issuedAt: at,
    safeguardAt: partsOf(order.selector).safeguard === undefined ? null : [],
    ...JUST_ISSUED,
    ...whose,
  });
}

export function orderIssued(state: Replayed, entry: LoggedEntry): void {
  const { person: issuedBy, lab: issuedByLab } = actingPerson(entry);
  add(state, mustHave(entry, 'ref'), entry.at, entry.data, { issuedBy, issuedByLab });
}

export function orderEvidence(state: Replayed, entry: LoggedEntry): void {
  // It came with what was issued or added: no change of its own.
  const order = mustKnow(state, entry);
  state.orders.set(order.id, {
    ...order,
    ...dataOf(entry, z.object({ evidence: evidenceSchema })),
  });
}

export function orderRatified(state: Replayed, entry: LoggedEntry): void {
  const ratified = { ratifiedBy: actingPerson(entry).person, ratifiedAt: entry.at };
  change(state, entry, { ...ratified, ...dataOf(entry, timesSchema) });
}

/** A date of review that was asked for holds for the first review alone. */
export function orderReviewed(state: Replayed, entry: LoggedEntry): void {
  const { reviewAt: _, ...order } = mustKnow(state, entry);
  const changes = order.changes + 1;
  state.orders.set(order.id, { ...order, ...dataOf(entry, timesSchema), changes });
}

export function orderSupplemented(state: Replayed, entry: LoggedEntry): void {
  const { instrument, ...said } = dataOf(entry, z.object(supplementSchema.shape));
  const { authority } = mustKnow(state, entry);
  change(state, entry, {
    ...said,
    ...(instrument !== undefined && { authority: { ...authority, instrument } }),
  });
}

const liftedSchema = z.object({
  because: z.enum(['lifted', 'vacated']).default('lifted'),
  grounds: z.string().optional(),
});

export function orderLifted(state: Replayed, entry: LoggedEntry): void {
  const { because, grounds } = dataOf(entry, liftedSchema);
  end(state, entry, because, grounds ?? null);
}

const loweredSchema = z.object({
  because: z.enum(['lowered', 'modified']),
  by: z.string(),
  order: z.looseObject({ grounds: z.string() }),
});

/** An order ends, and a lesser one takes its place. */
export function orderLowered(state: Replayed, entry: LoggedEntry): void {
  const { because, by, order } = dataOf(entry, loweredSchema);
  const { id, issuedBy, issuedByLab, evidence } = mustKnow(state, entry);
  end(state, entry, because, order.grounds);
  const { person } = actingPerson(entry);
  // Whoever could ratify it has done so by lowering.
  const stands = begun(order).lapsesAt === null;
  add(state, by, entry.at, order, {
    issuedBy,
    issuedByLab,
    ...(evidence && { evidence }),
    ratifiedBy: stands ? person : null,
    ratifiedAt: stands ? entry.at : null,
    replaces: id,
    loweredBy: person,
  });
}

const lapsedSchema = z.object({
  because: z.enum(['lapsed', 'expired', 'review_missed']),
  endedAt: momentSchema.optional(),
});

/** It was over at its own end; the entry came when that was looked at. */
export function orderLapsed(state: Replayed, entry: LoggedEntry): void {
  const { because, endedAt } = dataOf(entry, lapsedSchema);
  const at = endedAt ?? ownEnd(mustKnow(state, entry))?.at ?? entry.at;
  change(state, entry, { endedAt: at, endedBecause: because });
}

export function orderAcknowledged(state: Replayed, entry: LoggedEntry): void {
  const { id: orderId } = mustKnow(state, entry);
  const { person: personId, lab: labId } = actingPerson(entry);
  const { underObjection } = dataOf(entry, z.object({ underObjection: z.boolean() }));
  const acknowledgement = { orderId, personId, labId, at: entry.at, underObjection };
  state.acknowledgements.set(`${orderId} ${personId}`, acknowledgement);
}

const objectedSchema = z.object({
  dispute: z.string(),
  grounds: z.string(),
  alternative: alternativeSchema.nullable(),
  dueAt: momentSchema,
});

export function orderObjected(state: Replayed, entry: LoggedEntry): void {
  const { dispute: id, ...said } = dataOf(entry, objectedSchema);
  const { person: personId, lab: labId } = actingPerson(entry);
  state.disputes.set(id, {
    id,
    orderId: mustKnow(state, entry).id,
    labId,
    personId,
    at: entry.at,
    ...said,
    escalatedAt: null,
    outcome: null,
    decidedBy: null,
    decidedAt: null,
    decisionGrounds: null,
    newOrderId: null,
  });
  // Whoever of the lab took notice before has complied under objection, too.
  const { id: orderId } = mustKnow(state, entry);
  for (const [key, one] of state.acknowledgements)
    if (one.orderId === orderId && one.labId === labId)
      state.acknowledgements.set(key, { ...one, underObjection: true });
}

const disputeSchema = z.object({ dispute: z.string() });

export function disputeOverdue(state: Replayed, entry: LoggedEntry): void {
  const dispute = mustDispute(state, entry);
  state.disputes.set(dispute.id, { ...dispute, escalatedAt: entry.at });
}

const decidedSchema = z.object({
  outcome: outcomeSchema,
  grounds: z.string(),
  newOrder: z.string().nullable().default(null),
});

export function disputeDecided(state: Replayed, entry: LoggedEntry): void {
  const dispute = mustDispute(state, entry);
  const { newOrder: newOrderId, grounds, outcome } = dataOf(entry, decidedSchema);
  const { person: decidedBy } = actingPerson(entry);
  const decided = { decidedBy, decidedAt: entry.at, newOrderId, outcome, decisionGrounds: grounds };
  state.disputes.set(dispute.id, { ...dispute, ...decided });
}

function mustDispute({ disputes }: Replayed, entry: LoggedEntry): Dispute {
  const dispute = disputes.get(dataOf(entry, disputeSchema).dispute);
  if (!dispute) throw new Gap('The objection is not in the log before.');
  return dispute;
}

function mustKnow({ orders }: Replayed, entry: LoggedEntry): Order {
  const order = orders.get(mustHave(entry, 'ref'));
  if (!order) throw new Gap('The order is not in the log before.');
  return order;
}

/** Orders are never changed in place: what was computed of one is remembered by the object. */
function change(state: Replayed, entry: LoggedEntry, values: Partial<Order>): void {
  const order = mustKnow(state, entry);
  state.orders.set(order.id, { ...order, ...values, changes: order.changes + 1 });
}

function end(
  state: Replayed,
  entry: LoggedEntry,
  endedBecause: EndedBecause,
  endGrounds: string | null,
): void {
  const endedBy = actingPerson(entry).person;
  change(state, entry, { endedAt: entry.at, endedBy, endedBecause, endGrounds });
}
