/** `sallyport notice deliveries` */
import { Option, type Command } from 'commander';
import { DELIVERY_STATES } from '../../core/deliveries.ts';
import { id, notEmpty } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { deliverySchema } from './wire.ts';

interface DeliveriesOptions extends ListOptions {
  state?: string;
  channel?: string;
  notice?: string;
}

export function addNoticeDeliveries(group: Command, around: Surroundings): void {
  defineListCommand(group, 'deliveries', {
    summary: 'List what became of notices on their way out, newest first',
    details:
      'For admins and safety officers of the host. A delivery is pending until it has arrived; one that failed for about three days is dead.',
    examples: [
      'sallyport notice deliveries --state dead',
      'sallyport notice deliveries --notice ntc_01… --json',
    ],
  })
    .addOption(new Option('--state <state>', 'only in this state').choices(DELIVERY_STATES))
    .option('--channel <id>', 'only through this channel of the configuration', notEmpty)
    .option('--notice <id>', 'only of this notice', id('ntc'))
    .action(async (options: DeliveriesOptions) => {
      const { state, channel, notice } = options;
      const broker = await connect(around, options);
      const query = { state, channel, notice };
      const deliveries = await broker.list('/deliveries', deliverySchema, options.limit, query);
      printList(
        around,
        options,
        deliveries,
        ['id', 'kind', 'channel', 'state', 'attempts', 'ended', 'next', 'last failure'],
        ({ failure, ...delivery }) => [
          delivery.id,
          delivery.kind,
          delivery.channel,
          delivery.state,
          delivery.attempts,
          moment(delivery.endedAt),
          moment(delivery.nextAt),
          failure && `${failure.code}${failure.status === null ? '' : ` (${failure.status})`}`,
        ],
      );
    });
}
