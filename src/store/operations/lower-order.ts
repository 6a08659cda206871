/** Orders: a lesser one in the place of one. */
import type { Json } from '../../core/audit/entry.ts';
import {
  levelInWords,
  type Measures,
  type Order,
  type OrderSpec,
} from '../../core/orders/order.ts';
import { selectorInWords, type Selector } from '../../core/orders/selector.ts';
import { decideLift, refusalOfLowering, timesOfLowered } from '../../core/orders/steps.ts';
import type { WriterContext } from '../context.ts';
import { endOrder, insertOrder, rememberTold } from '../order-rows.ts';
import { controlOperation, type Authorised, type By } from './operation.ts';
import {
  actingOn,
  issuedData,
  mustBeAllowed,
  mustEndLater,
  mustFindOrder,
  record,
  specOf,
  tell,
  type OrderArgs,
  type OrderTarget,
} from './order-parts.ts';

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
  mustEndLater({ expiresAt }, by.at);
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
  rememberTold(context, lowered.id, args.concerned);
  const words = `replaced by ${lowered.id}, ${levelInWords(level)}, about ${selectorInWords(selector)}`;
  tell(context, ended, args.concerned, by.at, 'order.lowered', words);
  return lowered;
}
