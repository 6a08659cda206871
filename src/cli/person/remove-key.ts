/** `sallyport person remove-key` */
import type { Command } from 'commander';
import { id, kid } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { jsonOf } from '../http.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';

export function addPersonRemoveKey(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'remove-key', {
    summary: 'Remove a key of a person: tokens that were got with it end at once',
    examples: ['sallyport person remove-key per_01… QpN…'],
  })
    .argument('<id>', 'the person', id('per'))
    .argument('<kid>', 'the key, as "person show" lists it', kid)
    .action(async (personId: string, key: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const path = `/people/${personId}/keys/${key}`;
      const person = await jsonOf(await broker.request('DELETE', path), personSchema);
      if (options.json) printJson(around, person);
      else say(around, `Removed the key ${key} of ${personId}.`);
    });
}
