/** Shows an order. */
import { moment, printDetails } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Order } from '../wire.ts';

/** What an order stops, in words. */
export function selectorInWords(selector: Order['selector']): string {
  if ('all' in selector) return 'everything';
  return Object.entries(selector)
    .map(([what, which]) => `${what} ${String(which)}`)
    .join(', ');
}

export function printOrder(around: Surroundings, order: Order): void {
  printDetails(around, [
    ['id', order.id],
    ['stops', selectorInWords(order.selector)],
    ['level', order.level === 4 ? '4 (suspend)' : order.level],
    ['in force', order.inForce ? 'yes' : 'no'],
    ['grounds', order.grounds],
    ['authority', order.authority],
    ['evidence', order.evidence ?? undefined],
    ['issued', `${moment(order.issuedAt)} by ${order.issuedBy}`],
    ['lifted', order.liftedAt ? `${moment(order.liftedAt)} by ${order.liftedBy}` : undefined],
    ['lifted because', order.liftGrounds ?? undefined],
  ]);
}
