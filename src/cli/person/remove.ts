/** `sallyport person remove` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';

export function addPersonRemove(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'remove', {
    summary: 'Remove a person: nothing works for them any more, at once',
    details: 'What they did stays on record. A removed person is not brought back; register anew.',
    examples: ['sallyport person remove per_01…'],
  })
    .argument('<id>', 'the person', id('per'))
    .action(async (personId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const person = await broker.post(`/people/${personId}/remove`, personSchema);
      if (options.json) printJson(around, person);
      else say(around, `Removed ${person.name} (${person.id}). Their requests are cut.`);
    });
}
