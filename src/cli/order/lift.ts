/** `sallyport order lift` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { orderSchema } from '../wire.ts';
import { printOrder } from './print.ts';

interface LiftOptions extends BrokerOptions {
  grounds: string;
}

export function addOrderLift(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'lift', {
    summary: 'Lift an order: what it stopped is allowed again',
    details: 'Whoever issued an order may not lift it; another person must.',
    examples: ['sallyport order lift ord_01… --grounds "Reviewed with the partner on 3 May"'],
  })
    .argument('<id>', 'the order', id('ord'))
    .requiredOption('--grounds <text>', 'why: kept on record')
    .action(async (orderId: string, options: LiftOptions) => {
      const broker = await connect(around, options);
      const order = await broker.post(`/orders/${orderId}/lift`, orderSchema, {
        grounds: options.grounds,
      });
      if (options.json) printJson(around, order);
      else printOrder(around, order);
    });
}
