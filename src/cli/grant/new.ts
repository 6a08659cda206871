/** `sallyport grant new` */
import type { Command } from 'commander';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { readGrantFile } from './grant-file.ts';

interface GrantNewOptions extends BrokerOptions {
  file: string;
}

export function addGrantNew(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'new', {
    summary: 'Make a draft of a grant from a file',
    examples: ['sallyport grant template > grant.yaml', 'sallyport grant new --file grant.yaml'],
  })
    .requiredOption('--file <file>', 'the grant, in YAML or JSON')
    .action(async (options: GrantNewOptions) => {
      const spec = readGrantFile(options.file);
      const broker = await connect(around, options);
      const grant = await broker.post('/grants', grantSchema, spec);
      if (options.json) {
        printJson(around, grant);
        return;
      }
      say(around, `Made ${grant.id} (${grant.spec.title}), a draft.`);
      note(around, `Next: ${commandLine(around, `grant submit ${grant.id}`, options.profile)}`);
    });
}
