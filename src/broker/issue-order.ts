/** Issuing orders, and what is done with them afterwards. */
import { reachOf, type Action } from '../core/authority.ts';
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import type { Alternative, Dispute, DisputeOutcome } from '../core/orders/disputes.ts';
import {
  LEVEL,
  type Measures,
  type Order,
  type OrderSpec,
  type Supplement,
} from '../core/orders/order.ts';
import type { Selector } from '../core/orders/selector.ts';
import { mintId } from '../lib/ids.ts';
import type { OrderArgs } from '../store/operations/order-parts.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { concernedBy, recalledBy } from './concerned.ts';
import { recordDenial } from './deny-action.ts';
import type { Cut } from './live-requests.ts';
import { mustHaveReach, orderToActOn } from './order-reach.ts';
import { warningFor } from './order-warning.ts';
import { mustSeeOrder, whoMayActOn } from './show-orders.ts';
import { accessNow, leavesNothing, touchedBy } from './touched-by.ts';

export interface IssuedOrder extends ReturnType<typeof whoMayActOn> {
  order: Order;
  /** Requests in flight that it cut, and when. */
  cut: Cut[];
  /** Set when the selector matches nothing that exists: recorded and in force all the same. */
  warning: string | undefined;
}

/**
 * Issues an order. When it returns, no request in its scope passes any more and those in flight have been
 * aborted: the store applies the change of policy before it hands out this result.
 *
 * @param confirmed whether it is meant to stop everything, should it do so
 */
export async function issueOrder(
  broker: Broker,
  actorId: string,
  spec: OrderSpec,
  confirmed: boolean,
): Promise<IssuedOrder> {
  const { selector } = spec;
  const issuedByLab = broker.policy.person(actorId)?.labId ?? '';
  const concerned = concernedBy(broker, { selector, issuedByLab });
  if (!confirmed && spec.level >= LEVEL.constrain) await mustNotStopAll(broker, actorId, spec);
  const who = by(broker, actorId);
  const id = mintId('ord', who.at);
  const recalled = recalledBy(broker, { ...spec, issuedByLab });
  const args = { by: who, id, spec, concerned, recalled };
  const order = await broker.store.write('issueOrder', args);
  return {
    order,
    cut: broker.live.cutsBy(order.id),
    warning: warningFor(broker, spec, true),
    ...whoMayActOn(broker, order),
  };
}

/**
 * What stops everything asks to be confirmed: one word more, and no time lost. Whoever may not see what it would stop is
 * told nothing here; the operation refuses them.
 */
async function mustNotStopAll(broker: Broker, actorId: string, spec: OrderSpec): Promise<void> {
  const { policy } = broker;
  const member = policy.member(actorId);
  if (!member || typeof reachOf(member, 'order.preview') !== 'string') return;
  const only = member.lab.kind === 'partner' ? member.lab.id : undefined;
  // Looked at alone: what need not be confirmed must not wait for a preview.
  const isAll = 'all' in spec.selector && spec.level > LEVEL.constrain;
  if (!isAll && !(await leavesNothing(broker, spec, only))) return;
  const { stops } = await touchedBy(await accessNow(broker, only), spec);
  const why = refusal(
    'confirmation_needed',
    `That stops everything: ${stops.grants.length} grants, ${stops.people.length} people, ${stops.live.length} requests in flight. If it is meant, send it again with ?confirmed=true.`,
    { param: 'confirmed' },
  );
  await recordDenial(broker, actorId, 'order.issue', why);
  throw new RefusedError(why);
}

/** Who acts on which order, and which revisions of it may be changed; undefined: whichever there is. */
type Actor = [
  broker: Broker,
  actorId: string,
  orderId: string,
  ifMatch?: readonly string[] | undefined,
];

/** Makes an order stand: by another person, with the right role. */
export async function ratifyOrder(...actor: Actor): Promise<Order> {
  const [broker, actorId, orderId] = actor;
  const args = await acting('order.ratify', actor);
  const recalled = recalledBy(broker, mustSeeOrder(broker, actorId, orderId));
  return broker.store.write('ratifyOrder', { ...args, recalled });
}

/** Records that an order was reviewed and goes on. */
export async function reviewOrder(...[grounds, ...actor]: [string, ...Actor]): Promise<Order> {
  const [broker] = actor;
  const args = await acting('order.review', actor);
  return broker.store.write('reviewOrder', { ...args, grounds });
}

/** Adds what an order should have said when it was issued. */
export async function supplementOrder(
  ...[supplement, ...actor]: [Supplement, ...Actor]
): Promise<Order> {
  const [broker] = actor;
  const args = await acting('order.supplement', actor);
  return broker.store.write('supplementOrder', { ...args, supplement });
}

export interface LowerInput {
  level: number;
  selector?: Selector | undefined;
  measures: Measures;
  expiresAt?: string | undefined;
  grounds: string;
}

/** Puts less in an order's place, in one commit. Whoever issued it may not. @returns what takes its place */
export async function lowerOrder(...[input, ...actor]: [LowerInput, ...Actor]): Promise<Order> {
  const [broker, actorId, orderId] = actor;
  const args = await acting('order.lower', actor);
  const selector = input.selector ?? mustSeeOrder(broker, actorId, orderId).selector;
  const newId = mintId('ord', args.by.at);
  return broker.store.write('lowerOrder', { ...args, ...input, newId, selector });
}

/** Lifts an order. Whoever issued it may not. */
export async function liftOrder(
  broker: Broker,
  actorId: string,
  orderId: string,
  grounds: string,
  ifMatch?: readonly string[],
): Promise<Order> {
  const args = await acting('order.lift', [broker, actorId, orderId, ifMatch]);
  return broker.store.write('liftOrder', { ...args, grounds });
}

/** Takes notice of an order; under objection, where one is open. */
export async function acknowledgeOrder(
  broker: Broker,
  actorId: string,
  orderId: string,
): Promise<{ underObjection: boolean }> {
  await orderToActOn(broker, actorId, 'order.acknowledge', orderId);
  return broker.store.write('acknowledgeOrder', { by: by(broker, actorId), orderId });
}

/** Objects to an order, and perhaps proposes another measure. The order goes on. */
export async function objectToOrder(
  input: { grounds: string; alternative: Alternative | null },
  broker: Broker,
  actorId: string,
  orderId: string,
): Promise<Dispute> {
  await orderToActOn(broker, actorId, 'order.object', orderId);
  const who = by(broker, actorId);
  const id = mintId('dsp', who.at);
  return broker.store.write('objectToOrder', { by: who, id, orderId, ...input });
}

/**
 * Decides an objection.
 *
 * @param ifMatch the revisions of the objection that may be decided on; undefined: whichever there is
 */
export async function decideDispute(
  broker: Broker,
  actorId: string,
  disputeId: string,
  input: { outcome: DisputeOutcome; grounds: string; alternative: Alternative | null },
  ifMatch?: readonly string[],
): Promise<Dispute> {
  await mustHaveReach(broker, actorId, 'dispute.decide', disputeId);
  const orderId = broker.readers.orderOfDispute(disputeId) ?? refuse('not_found');
  const { by: who, concerned } = await acting('dispute.decide', [broker, actorId, orderId]);
  const newId = mintId('ord', who.at);
  return broker.store.write('decideDispute', {
    by: who,
    disputeId,
    ifMatch,
    newId,
    concerned,
    ...input,
  });
}

/** What every operation on an order is told. */
async function acting(
  action: Action,
  [broker, actorId, orderId, ifMatch]: Actor,
): Promise<OrderArgs> {
  const order = await orderToActOn(broker, actorId, action, orderId);
  const concerned = concernedBy(broker, order);
  const known = new Set(concerned.map(({ labId }) => labId));
  const told = broker.readers.labsTold(orderId).filter(({ labId }) => !known.has(labId));
  return { by: by(broker, actorId), orderId, ifMatch, concerned: [...concerned, ...told] };
}
