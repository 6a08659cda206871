/** Orders: issued, ratified, reviewed, completed, lifted. */
import type { Order, OrderSpec, Supplement } from '../../core/orders/order.ts';
import { partsOf } from '../../core/orders/selector.ts';
import {
  decideLift,
  decideNotice,
  decideOrder,
  decideRatification,
  decideReview,
  decideSupplement,
  partOf,
  timesOf,
} from '../../core/orders/steps.ts';
import type { WriterContext } from '../context.ts';
import { beginDuties } from '../duties.ts';
import { endOrder, insertOrder, noticesInForce, rememberTold, updateOrder } from '../order-rows.ts';
import { readGrant, readPerson } from '../records.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';
import {
  actingOn,
  issuedData,
  mustBeAllowed,
  mustEndLater,
  mustFindOrder,
  record,
  recordEvidence,
  specOf,
  tell,
  timesData,
  type Concerned,
  type OrderArgs,
} from './order-parts.ts';

/** Whose duties begin with a recall, as the broker found: of whole grants, or of one person under each. */
export type Recalled = { grantId: string; personId?: string | undefined }[];

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
    mustEndLater(spec, by.at);
    mustBeAllowed(decideNotice(spec, who.member, noticesInForce(context, by)));
    const order = insertOrder(context, {
      id,
      spec,
      issuedBy: who.member.person.id,
      issuedByLab: who.member.lab.id,
      issuedAs: partOf(acting),
      issuedAt: by.at,
      ...timesOf(spec, acting.rule, false, by.at),
    });
    rememberTold(context, id, args.concerned);
    record(context, order, { by, who, kind: 'order.issued' }, issuedData(order));
    recordEvidence(context, order, { by, who });
    tell(context, order, args.concerned, by.at, 'order.issued', `issued: ${spec.grounds}`);
    // Of a recall that needs no second person.
    if (spec.authority.kind === 'legal') beginRecall(context, args.recalled, by.at, who);
    return order;
  },
);

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
    const { evidence, ...shown } = supplement;
    record(context, completed, { by, who, kind: 'order.supplemented' }, shown);
    if (evidence) recordEvidence(context, completed, { by, who });
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
