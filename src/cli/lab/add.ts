/** `sallyport lab add` */
import { Option, type Command } from 'commander';
import { displayName } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { labSchema } from '../wire.ts';

interface LabAddOptions extends BrokerOptions {
  name: string;
  kind: string;
}

export function addLabAdd(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'add', {
    summary: 'Register a lab',
    examples: [
      'sallyport lab add --name "Partner Lab" --kind partner',
      'sallyport lab add --name "Outside Auditor" --kind auditor',
    ],
  })
    .requiredOption('--name <name>', 'its name', displayName)
    .addOption(
      new Option('--kind <kind>', 'partner: may be granted access; auditor: reads the log')
        .choices(['partner', 'auditor'])
        .makeOptionMandatory(),
    )
    .action(async ({ name, kind, ...options }: LabAddOptions) => {
      const broker = await connect(around, options);
      const lab = await broker.post('/labs', labSchema, { name, kind });
      if (options.json) {
        printJson(around, lab);
        return;
      }
      say(around, `Registered ${lab.name} as ${lab.id}.`);
      const invite = `person invite --lab ${lab.id} --name … --role …`;
      note(around, `Next: ${commandLine(around, invite, options.profile)}`);
    });
}
