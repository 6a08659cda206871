/** `sallyport person show` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';
import { printPerson } from './print.ts';

export function addPersonShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show a person, with attributes and keys',
    examples: ['sallyport person show per_01…'],
  })
    .argument('<id>', 'the person', id('per'))
    .action(async (personId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const person = await broker.get(`/people/${personId}`, personSchema);
      if (options.json) printJson(around, person);
      else printPerson(around, person, await namesFor(broker, person));
    });
}
