/** `sallyport grant amend` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { jsonOf } from '../http.ts';
import { note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { readGrantFile } from './grant-file.ts';

interface GrantAmendOptions extends BrokerOptions {
  file: string;
}

export function addGrantAmend(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'amend', {
    summary: 'Change a draft, or a grant that was returned, to what a file says',
    details: 'Makes a new version. Whoever writes a version may not approve the grant.',
    examples: ['sallyport grant amend grt_01… --file grant.yaml'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .requiredOption('--file <file>', 'the whole grant, in YAML or JSON')
    .action(async (grantId: string, options: GrantAmendOptions) => {
      const spec = readGrantFile(options.file);
      const broker = await connect(around, options);
      const response = await broker.request('PUT', `/grants/${grantId}`, spec);
      const grant = await jsonOf(response, grantSchema);
      if (options.json) {
        printJson(around, grant);
        return;
      }
      say(around, `Amended ${grant.id}: version ${grant.version}, ${grant.status}.`);
      note(around, `Next: ${commandLine(around, `grant submit ${grant.id}`, options.profile)}`);
    });
}
