/** What the operations on orders share: finding one, whom it is decided by, what is recorded and told of it. */
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import type { LevelRule } from '../../core/authority-rules.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import type { NoticeKind } from '../../core/notices.ts';
import { levelInWords, revised, type Order, type OrderSpec } from '../../core/orders/order.ts';
import { partsOf, selectorInWords } from '../../core/orders/selector.ts';
import { ruleOf, type Acting } from '../../core/orders/steps.ts';
import { refusalOfStale } from '../../core/revision.ts';
import { mintId } from '../../lib/ids.ts';
import type { WriterContext } from '../context.ts';
import { notify } from '../notify.ts';
import { concernedBy } from '../order-rows.ts';
import { readGrant, readOrder } from '../records.ts';
import type { Authorised, By } from './operation.ts';

/** Whom an order concerns beside the host, as the broker found when it asked for the operation. */
export type Concerned = { labId: string; personId?: string | undefined }[];

/** Which order, and which state of it the actor has seen. */
export interface OrderTarget {
  by: By;
  orderId: string;
  /** The revisions of the order that the actor would change; undefined: whichever there is. */
  ifMatch?: readonly string[] | undefined;
}

export interface OrderArgs extends OrderTarget {
  concerned: Concerned;
}

export function mustFindOrder(
  { db }: WriterContext,
  { orderId, ifMatch }: Pick<OrderTarget, 'orderId' | 'ifMatch'>,
): Order {
  const order = readOrder(db, orderId) ?? refuse('not_found', 'There is no such order.');
  mustBeAllowed(refusalOfStale(revised(order), ifMatch));
  return order;
}

export function mustBeAllowed(why: Refusal | null): void {
  if (why) throw new RefusedError(why);
}

/** What an action on an order is decided on. */
export function actingOn(
  context: WriterContext,
  spec: Pick<OrderSpec, 'level' | 'selector'>,
  who: Authorised,
): Acting {
  return { actor: who.member, rules: context.rules, rule: ruleFor(context, spec) };
}

/** The rule of an order's level, or of the grant that it names. */
export function ruleFor(
  { db, rules }: WriterContext,
  spec: Pick<OrderSpec, 'level' | 'selector'>,
): LevelRule {
  const { grant } = partsOf(spec.selector);
  const named = grant === undefined ? undefined : readGrant(db, grant)?.spec;
  return ruleOf(rules, spec, named);
}

/**
 * What an entry says of an order that begins: enough to know from the log alone until when it is in force. Its evidence has
 * an entry of its own.
 */
export function issuedData(order: Order): Record<string, Json | undefined> {
  const { issuedAs, replaces } = order;
  const { evidence: _, ...spec } = specOf(order);
  return { ...spec, ...timesData(order), issuedAs, replaces: replaces ?? undefined };
}

/** Records what an order rests on, in an entry that is about no lab: a lab reads the entries that are about it. */
export function recordEvidence(
  context: WriterContext,
  { id, evidence }: Order,
  { by, who }: { by: By; who: Authorised },
): void {
  if (!evidence) return;
  context.append({
    id: mintId('ent', by.at),
    kind: 'order.evidence',
    at: by.at,
    actor: who.actor,
    ref: id,
    orders: [id],
    data: { evidence },
  });
}

export function timesData(order: Order): Record<string, Json | undefined> {
  const { lapsesAt, reviewDueAt, lapsesUnreviewed } = order;
  return {
    lapsesAt: lapsesAt === null ? null : new Date(lapsesAt).toISOString(),
    reviewDueAt: reviewDueAt === null ? null : new Date(reviewDueAt).toISOString(),
    lapsesUnreviewed,
  };
}

/** The text of an order. */
export function specOf(order: Order): OrderSpec {
  const { level, selector, measures, grounds, authority } = order;
  const { evidence, severity, whyNotLower, expiresAt, reviewAt } = order;
  return {
    level,
    selector,
    measures,
    grounds,
    authority,
    ...(evidence && { evidence }),
    ...(severity && { severity }),
    ...(whyNotLower !== undefined && { whyNotLower }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(reviewAt !== undefined && { reviewAt }),
  };
}

/** Records what was done with an order. @param how.lab whose it is, where it is one lab's: others do not read it */
export function record(
  context: WriterContext,
  order: Order,
  { by, who, kind, lab }: { by: By; who: Authorised; kind: EntryKind; lab?: string },
  data: Record<string, Json | undefined>,
): void {
  const concerned = concernedBy(context, order);
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: order.id,
    orders: [order.id],
    ...concerned,
    lab: lab ?? concerned.lab,
    data,
  });
}

/** Tells the host and those concerned what happened to an order. What it rests on is told to nobody. */
export function tell(
  context: WriterContext,
  order: Order,
  concerned: Concerned,
  at: number,
  kind: NoticeKind,
  what: string,
): void {
  notify(context, {
    kind,
    ref: order.id,
    at,
    to: [{ labId: context.host }, ...concerned],
    title: `Order ${order.id} (${levelInWords(order.level)}, about ${selectorInWords(order.selector)}) ${what}`,
    data: { level: order.level, selector: order.selector as Json },
  });
}

/** An order that is over before it begins would stop nothing, and seem to. @param at epoch milliseconds */
export function mustEndLater({ expiresAt }: Pick<OrderSpec, 'expiresAt'>, at: number): void {
  if (expiresAt !== undefined && Date.parse(expiresAt) <= at)
    refuse(
      'invalid_request',
      'Its end is past: it would stop nothing. Give a later one, or none.',
      {
        param: 'expiresAt',
      },
    );
}
