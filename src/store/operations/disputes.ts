/** Notice taken of an order, objections to it, and what they come to. */
import { and, eq, isNull } from 'drizzle-orm';
import { after } from '../../core/durations.ts';
import { refuse } from '../../core/denials.ts';
import {
  decideObjection,
  lesserOf,
  refusalOfAlternative,
  refusalOfOutcome,
  type Alternative,
  type Dispute,
  type DisputeOutcome,
} from '../../core/orders/disputes.ts';
import { mintId } from '../../lib/ids.ts';
import { isInForce, type Order } from '../../core/orders/order.ts';
import { decideRuling } from '../../core/orders/steps.ts';
import { refusalOfStale } from '../../core/revision.ts';
import { putOnAgenda, takeOffAgenda } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { peopleHolding } from '../holders.ts';
import { notify } from '../notify.ts';
import { endOrder } from '../order-rows.ts';
import { disputes, orderAcknowledgements } from '../schema.ts';
import { replaceOrder } from './lower-order.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';
import {
  actingOn,
  mustBeAllowed,
  mustFindOrder,
  record,
  tell,
  type Concerned,
} from './order-parts.ts';

/** Takes notice of an order. Whoever's lab has objected complies under objection, and the record says so. */
export const acknowledgeOrder = controlOperation(
  'order.acknowledge',
  (context, args: { by: By; orderId: string }, who): { underObjection: boolean } => {
    const { by } = args;
    const order = mustFindOrder(context, args);
    const { person, lab } = who.member;
    // Once under objection, always: what came of the objection changes nothing about how it was complied with.
    const underObjection =
      openDisputes(context, order.id).some((one) => one.labId === lab.id) ||
      hasAcknowledgedUnderObjection(context, order.id, person.id);
    context.db
      .insert(orderAcknowledgements)
      .values({ orderId: order.id, personId: person.id, labId: lab.id, at: by.at, underObjection })
      .onConflictDoUpdate({
        target: [orderAcknowledgements.orderId, orderAcknowledgements.personId],
        set: { at: by.at, underObjection },
      })
      .run();
    record(
      context,
      order,
      { by, who, kind: 'order.acknowledged', lab: lab.id },
      { underObjection },
    );
    return { underObjection };
  },
  (args) => args.orderId,
);

/** Files an objection. The order goes on until it is decided. */
export const objectToOrder = controlOperation(
  'order.object',
  (
    context,
    args: { by: By; id: string; orderId: string; grounds: string; alternative: Alternative | null },
    who,
  ): Dispute => {
    const { by, id, grounds, alternative } = args;
    const order = mustFindOrder(context, args);
    const { person, lab } = who.member;
    const open = openDisputes(context, order.id);
    mustBeAllowed(
      decideObjection(order, open, person.id, by.at) ?? refusalOfAlternative(order, alternative),
    );
    const dueAt = after(by.at, context.rules.disputes.decideWithin);
    const row = { id, orderId: order.id, labId: lab.id, personId: person.id, at: by.at };
    context.db
      .insert(disputes)
      .values({ ...row, grounds, alternative, dueAt })
      .run();
    // Of whoever took notice before: they have complied under objection, too.
    context.db
      .update(orderAcknowledgements)
      .set({ underObjection: true })
      .where(
        and(eq(orderAcknowledgements.orderId, order.id), eq(orderAcknowledgements.labId, lab.id)),
      )
      .run();
    putOnAgenda(context, { kind: 'dispute', ref: id, at: dueAt });
    const data = { dispute: id, grounds, alternative, dueAt: new Date(dueAt).toISOString() };
    record(context, order, { by, who, kind: 'order.objected', lab: lab.id }, data);
    tell(context, order, [{ labId: lab.id }], by.at, 'dispute.filed', `is objected to: ${grounds}`);
    return readDispute(context, id);
  },
  (args) => args.orderId,
);

interface DecideArgs {
  by: By;
  disputeId: string;
  /** The revisions of the objection that are decided on; undefined: whichever there is. */
  ifMatch?: readonly string[] | undefined;
  outcome: DisputeOutcome;
  grounds: string;
  /** For `modified`: what takes the order's place; without it, what was proposed. */
  alternative: Alternative | null;
  newId: string;
  concerned: Concerned;
}

/** Decides an objection: by another person than the one who issued the order. */
export const decideDispute = controlOperation(
  'dispute.decide',
  (context, args: DecideArgs, who): Dispute => {
    const { by, outcome, grounds } = args;
    const dispute = readDispute(context, args.disputeId);
    mustBeAllowed(refusalOfStale(dispute, args.ifMatch));
    if (dispute.decidedAt !== null)
      refuse('already_decided', `The objection was decided: ${dispute.outcome}.`);
    const order = mustFindOrder(context, dispute);
    mustBeAllowed(
      decideRuling(order, dispute, actingOn(context, order, who)) ??
        refusalOfOutcome(order, outcome, by.at),
    );
    const newOrderId = carryOut(context, order, dispute, args, who);
    context.db
      .update(disputes)
      .set({
        outcome,
        decisionGrounds: grounds,
        decidedBy: who.member.person.id,
        decidedAt: by.at,
        newOrderId,
      })
      .where(eq(disputes.id, dispute.id))
      .run();
    takeOffAgenda(context, 'dispute', dispute.id);
    context.append({
      // What happened to the order has the other one, if anything did.
      id: mintId('ent', by.at),
      kind: 'dispute.decided',
      at: by.at,
      actor: who.actor,
      ref: order.id,
      orders: [order.id],
      // What a lab objects to, and the answer, are between it and the host.
      lab: dispute.labId,
      data: { dispute: dispute.id, outcome, grounds, newOrder: newOrderId ?? undefined },
    });
    const to = [{ labId: dispute.labId }, { labId: dispute.labId, personId: dispute.personId }];
    tell(context, order, to, by.at, 'dispute.decided', `objection ${outcome}: ${grounds}`);
    return readDispute(context, dispute.id);
  },
  (args) => args.disputeId,
);

/** @returns the order that takes the place of the one that was objected to */
function carryOut(
  context: WriterContext,
  order: Order,
  dispute: Dispute,
  args: DecideArgs,
  who: Authorised,
): string | null {
  const { by, outcome, concerned, newId } = args;
  if (outcome === 'affirmed' || !isInForce(order, by.at)) return null;
  if (outcome === 'vacated') {
    const ended = endOrder(context, order.id, {
      at: by.at,
      by: who.member.person.id,
      because: 'vacated',
      // They are for whoever objected: others whom the order concerned may be of another lab.
      grounds: null,
    });
    record(context, ended, { by, who, kind: 'order.lifted' }, { because: 'vacated' });
    tell(context, ended, concerned, by.at, 'order.lifted', 'lifted: an objection to it was right');
    return null;
  }
  const instead =
    args.alternative ??
    dispute.alternative ??
    refuse('invalid_request', 'Say what takes its place: nothing was proposed.', {
      param: 'alternative',
    });
  const { grounds } = order;
  const { level, selector, measures, expiresAt } = lesserOf(order, instead);
  const lowered = replaceOrder(
    context,
    order,
    { by, newId, level, selector, measures, expiresAt, grounds, concerned },
    who,
    'modified',
  );
  return lowered.id;
}

function hasAcknowledgedUnderObjection(
  { db }: WriterContext,
  orderId: string,
  personId: string,
): boolean {
  const { orderId: ofOrder, personId: ofPerson } = orderAcknowledgements;
  const known = db
    .select()
    .from(orderAcknowledgements)
    .where(and(eq(ofOrder, orderId), eq(ofPerson, personId)))
    .get();
  return known?.underObjection === true;
}

/** Objections to an order that nobody has decided. */
function openDisputes({ db }: WriterContext, orderId: string): Dispute[] {
  return db
    .select()
    .from(disputes)
    .where(and(eq(disputes.orderId, orderId), isNull(disputes.decidedAt)))
    .all();
}

function readDispute({ db }: WriterContext, id: string): Dispute {
  return (
    db.select().from(disputes).where(eq(disputes.id, id)).get() ??
    refuse('not_found', 'There is no such objection.')
  );
}

/** Finds an objection overdue: it goes to those who answer for that, and stays open. */
export function escalateDispute(
  context: WriterContext,
  id: string,
  entryId: string,
  now: number,
): void {
  const dispute = context.db.select().from(disputes).where(eq(disputes.id, id)).get();
  if (!dispute || dispute.decidedAt !== null || dispute.escalatedAt !== null) return;
  context.db.update(disputes).set({ escalatedAt: now }).where(eq(disputes.id, id)).run();
  const { orderId, labId } = dispute;
  const { escalateTo } = context.rules.disputes;
  const holders = peopleHolding(context, escalateTo, labId);
  context.append({
    id: entryId,
    kind: 'dispute.overdue',
    at: now,
    actor: { system: 'broker' },
    ref: orderId,
    lab: labId,
    orders: [orderId],
    data: { dispute: id, escalatedTo: escalateTo, told: holders.map(({ personId }) => personId) },
  });
  notify(context, {
    kind: 'dispute.overdue',
    ref: orderId,
    at: now,
    to: [{ labId: context.host }, { labId }, ...holders],
    title: `The objection ${id} to order ${orderId} is overdue. It is for ${escalateTo.join(', ')} to decide`,
  });
}
