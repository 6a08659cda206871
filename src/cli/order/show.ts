/** `sallyport order show` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { moment, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { wholeOrderSchema } from '../wire.ts';
import { printDispute, printOrder } from './print.ts';

export function addOrderShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show an order',
    examples: ['sallyport order show ord_01…'],
  })
    .argument('<id>', 'the order', id('ord'))
    .action(async (orderId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const order = await broker.get(`/orders/${orderId}`, wholeOrderSchema);
      if (options.json) printJson(around, order);
      else {
        const named = await namesFor(broker, order);
        printOrder(around, order, named);
        for (const dispute of order.disputes) {
          say(around, '');
          printDispute(around, dispute, named);
        }
        for (const { personId, at, underObjection } of order.acknowledgements)
          say(
            around,
            `Noted by ${named(personId)} at ${moment(at)}${underObjection ? ', complied under objection' : ''}.`,
          );
      }
    });
}
