/** `sallyport person invite` */
import type { Command } from 'commander';
import { INVITATION_HOURS } from '../../core/invitations.ts';
import { roleSchema } from '../../core/people.ts';
import { displayName, hours, id, instant, oneOfSeveral, pairs, subject } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { newInvitationSchema } from '../invitation-wire.ts';
import { moment, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

interface InviteOptions extends BrokerOptions {
  lab: string;
  name: string;
  role: string[];
  grant?: string;
  until?: string;
  subject?: string;
  attribute?: Record<string, string>;
  expires?: number;
}

export function addPersonInvite(group: Command, around: Surroundings): void {
  const { least, most, usual } = INVITATION_HOURS;
  defineBrokerCommand(group, 'invite', {
    summary: 'Invite a person, by a link that works once',
    details:
      'They open it with "sallyport join", which makes their key on their own machine. With --grant they get a place on its roster, within its "maxPeople".',
    examples: [
      'sallyport person invite --lab lab_01… --name "Ada Okafor" --role lead',
      'sallyport person invite --lab lab_01… --name "Ben Li" --role researcher --grant grt_01… --expires 24h',
    ],
  })
    .requiredOption('--lab <id>', 'the lab that the person belongs to', id('lab'))
    .requiredOption('--name <name>', "the person's name", displayName)
    .requiredOption(
      '--role <role>',
      `what the person does (${roleSchema.options.join(', ')}); may be given several times`,
      oneOfSeveral(roleSchema.options),
    )
    .option('--grant <id>', 'a grant that they may use', id('grt'))
    .option('--until <moment>', 'when their place on its roster ends', instant)
    .option('--subject <name>', 'what their own lab calls them in its assertions', subject)
    .option('--attribute <name=value>', 'what else is known; may be given several times', pairs)
    .option(
      '--expires <time>',
      `how long the link is good, in hours or days such as 24h or 3d: ${least}h to ${most / 24}d (default: ${usual / 24}d)`,
      hours(least, most),
    )
    .action(async (options: InviteOptions) => {
      const { lab, name, role: roles, grant, attribute: attributes = {} } = options;
      const broker = await connect(around, options);
      const invited = await broker.post('/invitations', newInvitationSchema, {
        lab,
        name,
        roles,
        attributes,
        grant,
        subject: options.subject,
        rosterUntil: options.until,
        expiresInHours: options.expires,
      });
      if (options.json) {
        printJson(around, invited);
        return;
      }
      const until = moment(invited.expiresAt);
      say(around, `Invited ${invited.name} as ${invited.roles.join(', ')} (${invited.id}).`);
      say(around, invited.link);
      note(
        around,
        'Send them that link, by a way that nobody else reads: whoever uses it first joins in their',
      );
      note(around, `name. It works once, until ${until}, and is not shown again.`);
      note(
        around,
        'They run "npx sallyport join" in a checkout of Sallyport, after "npm ci", and paste it there.',
      );
      const withdraw = commandLine(around, `person uninvite ${invited.id}`, options.profile);
      note(around, `To withdraw it: ${withdraw}`);
    });
}
