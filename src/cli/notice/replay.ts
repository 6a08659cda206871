/** `sallyport notice replay` */
import type { Command } from 'commander';
import { notEmpty, severalIds } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, note, printJson, say } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { replayedSchema } from './wire.ts';

interface ReplayOptions extends BrokerOptions {
  channel?: string;
}

export function addNoticeReplay(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'replay', {
    summary: 'Try deliveries again that were given up',
    details:
      'For admins and safety officers of the host: single deliveries, or all dead ones of a channel. A receiver that has had a notice before knows it by its webhook-id.',
    examples: ['sallyport notice replay dlv_01…', 'sallyport notice replay --channel pager'],
  })
    .argument('[ids...]', 'the deliveries', severalIds('dlv'))
    .option('--channel <id>', 'all of this channel of the configuration', notEmpty)
    .action(async (ids: string[], options: ReplayOptions) => {
      const { channel } = options;
      if (ids.length > 0 === (channel !== undefined))
        throw wrongUsage('Give the ids of deliveries or --channel, one of the two.');
      const broker = await connect(around, options);
      const body = channel === undefined ? { deliveries: ids } : { channel };
      const answer = await broker.post('/deliveries/replay', replayedSchema, body);
      if (options.json) return printJson(around, answer);
      say(
        around,
        `${counted(answer.replayed.length, 'delivery', 'deliveries')} will be tried again.`,
      );
      if (answer.more) note(around, 'There are more: run the command again.');
    });
}
