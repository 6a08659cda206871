/** `sallyport duty show` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { printDuty } from './print.ts';
import { dutySchema } from './wire.ts';

export function addDutyShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show a duty: what is to be done, by when, and how far it is',
    examples: ['sallyport duty show dty_01…'],
  })
    .argument('<id>', 'the duty', id('dty'))
    .action(async (dutyId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const duty = await broker.get(`/duties/${dutyId}`, dutySchema);
      if (options.json) printJson(around, duty);
      else printDuty(around, duty, await namesFor(broker, duty));
    });
}
