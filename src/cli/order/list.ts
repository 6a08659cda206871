/** `sallyport order list` */
import type { Command } from 'commander';
import { selectorInWords } from '../../core/orders/selector.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { orderSchema } from '../wire.ts';

interface OrderListOptions extends ListOptions {
  inForce?: boolean;
}

export function addOrderList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the orders that you may see, newest first',
    examples: ['sallyport order list', 'sallyport order list --in-force --json'],
  })
    .option('--in-force', 'only those that stop something now')
    .action(async (options: OrderListOptions) => {
      const broker = await connect(around, options);
      const orders = await broker.list('/orders', orderSchema, options.limit, {
        inForce: options.inForce,
      });
      await printNamedList(
        around,
        broker,
        options,
        orders,
        ['id', 'level', 'about', 'issued', 'ended', 'grounds'],
        (order, named) => [
          order.id,
          `${order.level} ${order.levelName.replaceAll('_', ' ')}`,
          named(selectorInWords(order.selector)),
          moment(order.issuedAt),
          moment(order.ended?.at),
          order.grounds,
        ],
      );
    });
}
