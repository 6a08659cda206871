/** `sallyport order disputes` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { disputeSchema, type Dispute } from '../wire.ts';

interface DisputesOptions extends ListOptions {
  open?: boolean;
}

export function addOrderDisputes(group: Command, around: Surroundings): void {
  defineListCommand(group, 'disputes', {
    summary: 'List the objections to orders that you may see: overdue ones first',
    examples: ['sallyport order disputes --open', 'sallyport order disputes --json'],
  })
    .option('--open', 'only those to be decided, also of orders that are over')
    .action(async (options: DisputesOptions) => {
      const broker = await connect(around, options);
      const { open, limit } = options;
      const disputes = await broker.list('/disputes', disputeSchema, limit, { open });
      await printNamedList(
        around,
        broker,
        options,
        disputes,
        ['id', 'to be decided', 'outcome', 'order', 'lab', 'by', 'objects'],
        (dispute, named) => [
          dispute.id,
          moment(dispute.dueAt),
          outcomeOf(dispute),
          dispute.orderId,
          named(dispute.labId),
          named(dispute.personId),
          dispute.grounds,
        ],
      );
    });
}

const outcomeOf = ({ outcome, escalatedAt }: Dispute): string =>
  outcome ?? (escalatedAt ? 'open, overdue' : 'open');
