/** `sallyport lab identity remove` */
import type { Command } from 'commander';
import { id } from '../../arguments.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../../confirm.ts';
import { connect } from '../../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../../define.ts';
import { printJson, say } from '../../output.ts';
import type { Surroundings } from '../../surroundings.ts';
import { labSchema } from '../../wire.ts';

export function addLabIdentityRemove(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'remove', {
    summary: "Take a lab's identity away: tokens that it vouched for end at once",
    details: 'People who have keys of their own keep their access. It asks first.',
    examples: ['sallyport lab identity remove lab_01…'],
  })
    .argument('<lab>', 'the lab', id('lab'))
    .option(...YES_OPTION)
    .action(async (labId: string, options: BrokerOptions & ConfirmOption) => {
      const broker = await connect(around, options);
      if (!options.yes) {
        const { name } = await broker.get(`/labs/${labId}`, labSchema);
        await mustConfirm(around, `End every token that ${name} vouched for?`, options);
      }
      const lab = await broker.post(`/labs/${labId}/identity/remove`, labSchema);
      if (options.json) printJson(around, lab);
      else
        say(
          around,
          `Nothing that ${lab.name} signs is believed any more; every token that it vouched for has ended.`,
        );
    });
}
