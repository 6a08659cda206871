/** Shows orders. */
import { levelInWords } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import { moment, printDetails, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Dispute, Order } from '../wire.ts';

export function printOrder(around: Surroundings, order: Order): void {
  const { ended, authority, evidence } = order;
  const measures = Object.entries(order.measures).map(
    ([name, value]) => `${name} ${String(value)}`,
  );
  const rows: [string, Cell][] = [
    ['id', order.id],
    ['revision', order.revision],
    ['about', selectorInWords(order.selector)],
    ['level', levelInWords(order.level)],
    ['measures', measures.length > 0 ? measures.join(', ') : undefined],
    ['in force', order.inForce ? 'yes' : 'no'],
    ['grounds', order.grounds],
    [
      'authority',
      [authority.kind, authority.text, authority.instrument].filter(Boolean).join(', '),
    ],
    ['evidence', evidence && [evidence.class, evidence.text].filter(Boolean).join(': ')],
    ['severity', order.band ?? undefined],
    ['not said yet', order.missing.length > 0 ? order.missing.join(', ') : undefined],
    ['issued', `${moment(order.issuedAt)} by ${order.issuedBy}`],
    [
      'ratified',
      order.ratifiedBy ? `${moment(order.ratifiedAt)} by ${order.ratifiedBy}` : undefined,
    ],
    ['ends by itself', order.inForce && order.endsAt ? moment(order.endsAt) : undefined],
    ['to be reviewed', order.inForce && order.reviewDueAt ? moment(order.reviewDueAt) : undefined],
    ['took the place of', order.replaces ?? undefined],
    [
      'ended',
      ended
        ? `${moment(ended.at)}, ${ended.because}${ended.by ? ` by ${ended.by}` : ''}`
        : undefined,
    ],
    ['because', ended?.grounds ?? undefined],
  ];
  printDetails(around, rows);
}

export function printDispute(around: Surroundings, dispute: Dispute): void {
  printDetails(around, [
    ['id', dispute.id],
    ['revision', dispute.revision],
    ['order', dispute.orderId],
    ['lab', dispute.labId],
    ['objects', dispute.grounds],
    ['to be decided', moment(dispute.dueAt)],
    ['overdue', dispute.escalatedAt ? `since ${moment(dispute.dueAt)}` : undefined],
    ['outcome', dispute.outcome ?? 'open: the order goes on'],
    ['reasons', dispute.reasons ?? undefined],
    ['new order', dispute.newOrderId ?? undefined],
  ]);
}
