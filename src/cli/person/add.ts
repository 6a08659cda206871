/** `sallyport person add` */
import type { Command } from 'commander';
import { roleSchema } from '../../core/people.ts';
import { displayName, id, oneOfSeveral, pairs, subject } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson, say } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import { readPublicKey } from '../public-key.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';

interface PersonAddOptions extends BrokerOptions {
  lab: string;
  name: string;
  role: string[];
  publicKey?: string;
  subject?: string;
  attribute?: Record<string, string>;
}

export function addPersonAdd(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'add', {
    summary: 'Register a person',
    details:
      'Give their public key; or, where their lab signs for its people ("lab identity set"), what it calls them.',
    examples: [
      'sallyport person add --lab lab_01… --name "Ada Okafor" --role lead --public-key ada.pem.pub.json',
      'sallyport person add --lab lab_01… --name "Ben Li" --role researcher --role auditor --public-key ben.pem.pub.json --attribute employer="Partner Lab"',
      'sallyport person add --lab lab_01… --name "Cho Min" --role researcher --subject cho.min@partner.example',
    ],
  })
    .requiredOption('--lab <id>', 'the lab that the person belongs to', id('lab'))
    .requiredOption('--name <name>', "the person's name", displayName)
    .requiredOption(
      '--role <role>',
      `what the person does (${roleSchema.options.join(', ')}); may be given several times`,
      oneOfSeveral(roleSchema.options),
    )
    .option('--public-key <file>', 'the public key, as "person keygen" writes it')
    .option('--subject <name>', 'what their own lab calls them in its assertions', subject)
    .option('--attribute <name=value>', 'what else is known; may be given several times', pairs)
    .action(async (options: PersonAddOptions) => {
      const { lab, name, role: roles, attribute: attributes = {} } = options;
      if (options.publicKey === undefined && options.subject === undefined)
        throw wrongUsage('It takes --public-key, or --subject where the lab signs for its people.');
      const publicKey =
        options.publicKey === undefined ? undefined : readPublicKey(options.publicKey);
      // The option --person of the connection says who calls; the new person has no id yet.
      const broker = await connect(around, options);
      const body = { lab, name, roles, attributes, subject: options.subject, publicKey };
      const person = await broker.post('/people', personSchema, body);
      if (options.json) {
        printJson(around, person);
        return;
      }
      say(around, `Registered ${person.name} as ${person.id}.`);
      const proof = publicKey ? `--person ${person.id} --key FILE` : '--via PROFILE --profile NAME';
      const login = commandLine(around, `login --url ${broker.url} ${proof}`);
      note(around, `Tell them to run: ${login}`);
    });
}
