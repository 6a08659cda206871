/** `sallyport person hand-back` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { handedBackSchema, meSchema, personSchema } from '../wire.ts';

interface HandBackOptions extends BrokerOptions, ConfirmOption {
  grant?: string;
}

export function addPersonHandBack(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'hand-back', {
    summary: 'Hand access back, your own or that of a person of your lab, for good',
    details:
      'Gives up the place on the grant, or on every grant, and ends the tokens at once; running requests are cut. The place cannot be had back: that takes a new grant.',
    examples: [
      'sallyport person hand-back',
      'sallyport person hand-back --grant grt_01…',
      'sallyport person hand-back per_01… --yes',
    ],
  })
    .argument('[id]', 'whose access; without it, your own', id('per'))
    .option('--grant <id>', 'only the place on this grant', id('grt'))
    .option(...YES_OPTION)
    .action(async (personId: string | undefined, options: HandBackOptions) => {
      const broker = await connect(around, options);
      const me = (await broker.get('/me', meSchema)).person;
      const isSelf = personId === undefined || personId === me.id;
      const person = isSelf ? me : await broker.get(`/people/${personId}`, personSchema);
      const whose = isSelf ? 'your' : `${person.name}'s`;
      const where = options.grant ?? 'all grants';
      await mustConfirm(
        around,
        `This is for good: it gives up ${whose} place on ${where}, and ends the tokens. Hand it back?`,
        options,
      );
      const body = { grant: options.grant };
      const done = await broker.post(`/people/${person.id}/hand-back`, handedBackSchema, body);
      if (options.json) {
        printJson(around, done);
        return;
      }
      const places = `${counted(done.grants.length, 'place')} given up`;
      const on = done.grants.length === 0 ? '' : ` (${done.grants.join(', ')})`;
      say(
        around,
        `${places}${on}, ${counted(done.ended, 'live token')} ended, ${counted(done.cut, 'running request')} cut.`,
      );
    });
}
