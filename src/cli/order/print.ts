/** Shows orders. */
import type { Alternative } from '../../core/orders/disputes.ts';
import { levelInWords, type Measures } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import type { Named } from '../names.ts';
import { moment, printDetails, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Dispute, Order } from '../wire.ts';

export function printOrder(
  around: Surroundings,
  order: Order & { ratifiers?: string[]; lifters?: string[] },
  named: Named,
): void {
  const { ended, authority, evidence, ratifiers, lifters } = order;
  const rows: [string, Cell][] = [
    ['id', order.id],
    ['revision', order.revision],
    ['about', named(selectorInWords(order.selector))],
    ['level', levelInWords(order.level)],
    ['measures', measuresInWords(order.measures)],
    ['in force', order.inForce ? 'yes' : 'no'],
    ['grounds', order.grounds],
    [
      'authority',
      [authority.kind, authority.text, authority.instrument].filter(Boolean).join(', '),
    ],
    ['evidence', evidence && [evidence.class, evidence.text].filter(Boolean).join(': ')],
    ['severity', order.band ?? undefined],
    ['not said yet', order.missing.length > 0 ? order.missing.join(', ') : undefined],
    ['issued', `${moment(order.issuedAt)} by ${named(order.issuedBy)}`],
    [
      'ratified',
      order.ratifiedBy ? `${moment(order.ratifiedAt)} by ${named(order.ratifiedBy)}` : undefined,
    ],
    ['can be ratified by', order.inForce && lapses(order) ? ratifiers?.join(', ') : undefined],
    ['can be lifted by', order.inForce ? lifters?.join(', ') : undefined],
    ['ends by itself', order.inForce ? ownEndInWords(order) : undefined],
    ['to be reviewed', order.inForce && order.reviewDueAt ? moment(order.reviewDueAt) : undefined],
    ['took the place of', order.replaces ?? undefined],
    [
      'ended',
      ended
        ? `${moment(ended.at)}, ${ended.because}${ended.by ? ` by ${named(ended.by)}` : ''}`
        : undefined,
    ],
    ['grounds of the end', ended?.grounds ?? undefined],
  ];
  printDetails(around, rows);
}

/** Whether an order in force ends by itself unless another person makes it stand. */
export const lapses = ({ inForce, ratified, lapsesAt }: Order): boolean =>
  inForce && !ratified && typeof lapsesAt === 'string';

function ownEndInWords(order: Order): string | undefined {
  const unless = lapses(order) && order.lapsesAt === order.endsAt ? ', unless ratified' : '';
  return order.endsAt ? `${moment(order.endsAt)}${unless}` : undefined;
}

export function printDispute(around: Surroundings, dispute: Dispute, named: Named): void {
  printDetails(around, [
    ['id', dispute.id],
    ['revision', dispute.revision],
    ['order', dispute.orderId],
    ['lab', named(dispute.labId)],
    ['objection by', `${named(dispute.personId)} at ${moment(dispute.at)}`],
    ['objects', dispute.grounds],
    [
      'proposes instead',
      dispute.alternative ? named(alternativeInWords(dispute.alternative)) : undefined,
    ],
    ['to be decided', moment(dispute.dueAt)],
    ['overdue', dispute.escalatedAt ? `since ${moment(dispute.dueAt)}` : undefined],
    ['outcome', dispute.outcome ?? 'open'],
    ['grounds of the decision', dispute.decisionGrounds ?? undefined],
    ['new order', dispute.newOrderId ?? undefined],
  ]);
}

/** What it does not name stays as the order has it. */
const alternativeInWords = ({ level, selector, measures, expiresAt }: Alternative): string =>
  [
    level === undefined ? undefined : levelInWords(level),
    selector && `about ${selectorInWords(selector)}`,
    measures && measuresInWords(measures),
    expiresAt && `until ${moment(expiresAt)}`,
  ]
    .filter(Boolean)
    .join('; ');

function measuresInWords(measures: Measures): string | undefined {
  const each = Object.entries(measures).map(([name, value]) => `${name} ${String(value)}`);
  return each.length > 0 ? each.join(', ') : undefined;
}
