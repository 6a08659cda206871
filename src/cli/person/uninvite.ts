/** `sallyport person uninvite` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { invitationSchema } from '../invitation-wire.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

export function addPersonUninvite(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'uninvite', {
    summary: 'Withdraw an invitation: its link opens nothing any more',
    examples: ['sallyport person uninvite inv_01…'],
  })
    .argument('<id>', 'the invitation', id('inv'))
    .action(async (invitationId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const withdrawn = await broker.post(
        `/invitations/${invitationId}/withdraw`,
        invitationSchema,
      );
      if (options.json) printJson(around, withdrawn);
      else say(around, `Withdrew the invitation of ${withdrawn.name} (${withdrawn.id}).`);
    });
}
