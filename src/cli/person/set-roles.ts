/** `sallyport person set-roles` */
import type { Command } from 'commander';
import { roleSchema } from '../../core/people.ts';
import { id, oneOfSeveral } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';

export function addPersonSetRoles(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'set-roles', {
    summary: 'Give a person other roles, in place of those they have',
    details:
      'Nobody changes their own. Approvals that they gave to grants still under review count only while they hold the role; everything else that they did stands.',
    examples: ['sallyport person set-roles per_01… --role lead --role safety'],
  })
    .argument('<id>', 'the person', id('per'))
    .requiredOption(
      '--role <role>',
      `what the person does (${roleSchema.options.join(', ')}); may be given several times`,
      oneOfSeveral(roleSchema.options),
    )
    .action(async (personId: string, options: BrokerOptions & { role: string[] }) => {
      const broker = await connect(around, options);
      const person = await broker.post(`/people/${personId}/roles`, personSchema, {
        roles: options.role,
      });
      if (options.json) printJson(around, person);
      else say(around, `${person.name} (${person.id}) is now: ${person.roles.join(', ')}.`);
    });
}
