/** Orders: issued, ratified, reviewed, completed, lowered, lifted. */
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import type { LevelRule } from '../../core/authority-rules.ts';
import type { NoticeKind } from '../../core/notices.ts';
import {
  levelInWords,
  revised,
  type Measures,
  type Order,
  type OrderSpec,
  type Supplement,
} from '../../core/orders/order.ts';
import { partsOf, selectorInWords, type Selector } from '../../core/orders/selector.ts';
import {
  decideLift,
  decideOrder,
  decideRatification,
  decideReview,
  decideSupplement,
  partOf,
  refusalOfLowering,
  ruleOf,
  timesOf,
  timesOfLowered,
  type Acting,
} from '../../core/orders/steps.ts';
import { refusalOfStale } from '../../core/revision.ts';
import type { WriterContext } from '../context.ts';
import { beginDuties } from '../duties.ts';
import { notify } from '../notify.ts';
import { concernedBy, endOrder, insertOrder, updateOrder } from '../order-rows.ts';
import { readGrant, readOrder, readPerson } from '../records.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';

/** Whom an order concerns beside the host, as the broker found when it asked for the operation. */
export type Concerned = { labId: string; personId?: string | undefined }[];

/** Whose duties begin with a recall, as the broker found: of whole grants, or of one person under each. */
export type Recalled = { grantId: string; personId?: string | undefined }[];

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

interface IssueArgs {
  by: By;
  id: string;
  spec: OrderSpec;
  concerned: Concerned;
  recalled: Recalled;
}

export const issueOrder = controlOperation(
  'order.issue',
  (context, args: IssueArgs, who): Order => {
    const { by, id, spec } = args;
    const acting = actingOn(context, spec, who);
    mustBeAllowed(decideOrder(spec, acting, { person: personOf(context, spec) }));
    const order = insertOrder(context, {
      id,
      spec,
      issuedBy: who.member.person.id,
      issuedByLab: who.member.lab.id,
      issuedAs: partOf(acting),
      issuedAt: by.at,
      ...timesOf(spec, acting.rule, false, by.at),
    });
    record(context, order, { by, who, kind: 'order.issued' }, issuedData(order));
    tell(context, order, args.concerned, by.at, 'order.issued', `issued: ${spec.grounds}`);
    // Of a recall that needs no second person.
    if (spec.authority.kind === 'legal') beginRecall(context, args.recalled, by.at, who);
    return order;
  },
);

/** What an entry says of an order that begins: enough to know from the log alone until when it is in force. */
function issuedData(order: Order): Record<string, Json | undefined> {
  const { issuedAs, replaces } = order;
  return { ...specOf(order), ...timesData(order), issuedAs, replaces: replaces ?? undefined };
}

function timesData(order: Order): Record<string, Json | undefined> {
  const { lapsesAt, reviewDueAt, lapsesUnreviewed } = order;
  return {
    lapsesAt: lapsesAt === null ? null : new Date(lapsesAt).toISOString(),
    reviewDueAt: reviewDueAt === null ? null : new Date(reviewDueAt).toISOString(),
    lapsesUnreviewed,
  };
}

/** The text of an order. */
function specOf(order: Order): OrderSpec {
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

type RatifyArgs = OrderArgs & { grounds?: string | undefined; recalled: Recalled };

export const ratifyOrder = controlOperation(
  'order.ratify',
  (context, args: RatifyArgs, who): Order => {
    const { by } = args;
    const order = mustFindOrder(context, args);
    const acting = actingOn(context, order, who);
    mustBeAllowed(decideRatification(order, acting, by.at));
    const ratified = updateOrder(context, order.id, {
      ratifiedBy: who.member.person.id,
      ratifiedAt: by.at,
      ...timesOf(order, acting.rule, true, by.at),
    });
    record(
      context,
      ratified,
      { by, who, kind: 'order.ratified' },
      {
        grounds: args.grounds,
        ...timesData(ratified),
      },
    );
    tell(context, ratified, args.concerned, by.at, 'order.ratified', 'ratified');
    beginRecall(context, args.recalled, by.at, who);
    return ratified;
  },
  (args) => args.orderId,
);

/** The duties of a recall begin once it stands on two, or on the order of an authority. The grants themselves go on. */
function beginRecall(
  context: WriterContext,
  recalled: Recalled,
  at: number,
  { actor }: Authorised,
): void {
  for (const { grantId, personId } of recalled) {
    const grant = readGrant(context.db, grantId);
    if (grant?.state === 'active' && grant.endedAt === null)
      beginDuties(context, grant, { cause: 'recalled', at, actor, personId });
  }
}

export const reviewOrder = controlOperation(
  'order.review',
  (context, args: OrderArgs & { grounds: string }, who): Order => {
    const { by } = args;
    const order = mustFindOrder(context, args);
    const acting = actingOn(context, order, who);
    mustBeAllowed(decideReview(order, acting, by.at));
    // A date that was asked for holds for the first review.
    const { reviewAt: _, ...spec } = specOf(order);
    const times = timesOf(spec, acting.rule, true, by.at);
    const reviewed = updateOrder(context, order.id, { spec, ...times });
    record(
      context,
      reviewed,
      { by, who, kind: 'order.reviewed' },
      {
        grounds: args.grounds,
        ...timesData(reviewed),
      },
    );
    tell(context, reviewed, args.concerned, by.at, 'order.reviewed', 'reviewed; it goes on');
    return reviewed;
  },
  (args) => args.orderId,
);

export const supplementOrder = controlOperation(
  'order.supplement',
  (context, args: OrderArgs & { supplement: Supplement }, who): Order => {
    const { by, supplement } = args;
    const order = mustFindOrder(context, args);
    const acting = actingOn(context, order, who);
    const { instrument, ...reasons } = supplement;
    const said = Object.fromEntries(Object.entries(reasons).filter(([, v]) => v !== undefined));
    const spec: OrderSpec = {
      ...specOf(order),
      ...said,
      authority: { ...order.authority, ...(instrument !== undefined && { instrument }) },
    };
    mustBeAllowed(decideSupplement(order, spec, acting, { person: personOf(context, order) }));
    const completed = updateOrder(context, order.id, { spec });
    record(context, completed, { by, who, kind: 'order.supplemented' }, supplement);
    tell(context, completed, [], by.at, 'order.supplemented', 'completed');
    return completed;
  },
  (args) => args.orderId,
);

/** The person whom a selector names. */
const personOf = (context: WriterContext, { selector }: Pick<OrderSpec, 'selector'>) => {
  const { person } = partsOf(selector);
  return person === undefined ? undefined : readPerson(context.db, person);
};

export const liftOrder = controlOperation(
  'order.lift',
  (context, args: OrderArgs & { grounds: string }, who): Order => {
    const { by, grounds } = args;
    const order = mustFindOrder(context, args);
    mustBeAllowed(decideLift(order, actingOn(context, order, who), by.at));
    const lifted = endOrder(context, order.id, {
      at: by.at,
      by: who.member.person.id,
      because: 'lifted',
      grounds,
    });
    record(context, lifted, { by, who, kind: 'order.lifted' }, { grounds });
    tell(context, lifted, args.concerned, by.at, 'order.lifted', `lifted: ${grounds}`);
    return lifted;
  },
  (args) => args.orderId,
);

export interface LowerArgs extends OrderArgs {
  /** Of the order that takes the place of the other. */
  newId: string;
  level: number;
  selector: Selector;
  measures: Measures;
  expiresAt?: string | undefined;
  grounds: string;
}

/** Puts less in the place of an order: in one commit, so that there is no moment without either. */
export const lowerOrder = controlOperation(
  'order.lower',
  (context, args: LowerArgs, who): Order => {
    const order = mustFindOrder(context, args);
    mustBeAllowed(decideLift(order, actingOn(context, order, who), args.by.at, 'lower'));
    return replaceOrder(context, order, args, who, 'lowered');
  },
  (args) => args.orderId,
);

/** Ends an order and begins the lesser one. It rests on whoever issued the first, and on the person who lowered it. */
export function replaceOrder(
  context: WriterContext,
  order: Order,
  args: Omit<LowerArgs, keyof OrderTarget> & { by: By },
  who: Authorised,
  because: 'lowered' | 'modified',
): Order {
  const { by, newId, level, selector, measures, expiresAt, grounds } = args;
  mustBeAllowed(refusalOfLowering(order, { level, selector, measures, expiresAt }));
  const personId = who.member.person.id;
  const ended = endOrder(context, order.id, { at: by.at, by: personId, because, grounds });
  const { measures: _, ...before } = specOf(order);
  const spec: OrderSpec = {
    ...before,
    level,
    selector,
    measures,
    grounds,
    ...(expiresAt !== undefined && { expiresAt }),
  };
  const times = timesOfLowered(order, spec, actingOn(context, spec, who), by.at);
  const stands = times.lapsesAt === null;
  const lowered = insertOrder(context, {
    id: newId,
    spec,
    issuedBy: order.issuedBy,
    issuedByLab: order.issuedByLab,
    issuedAs: order.issuedAs,
    issuedAt: by.at,
    ratifiedBy: stands ? personId : null,
    ratifiedAt: stands ? by.at : null,
    ...times,
    replaces: order.id,
    loweredBy: personId,
  });
  record(
    context,
    ended,
    { by, who, kind: 'order.lowered' },
    {
      because,
      by: lowered.id,
      order: issuedData(lowered) as Json,
    },
  );
  const words = `replaced by ${lowered.id}, ${levelInWords(level)}, about ${selectorInWords(selector)}`;
  tell(context, ended, args.concerned, by.at, 'order.lowered', words);
  return lowered;
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

/** Records what was done with an order. */
export function record(
  context: WriterContext,
  order: Order,
  { by, who, kind }: { by: By; who: Authorised; kind: EntryKind },
  data: Record<string, Json | undefined>,
): void {
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: order.id,
    orders: [order.id],
    ...concernedBy(context, order),
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
