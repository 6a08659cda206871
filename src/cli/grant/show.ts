/** `sallyport grant show`: what a grant allows, in plain words, and how it stands. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printDetails, printJson, printText } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { describeGrant, describeProposal } from './describe.ts';

export function addGrantShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary:
      'Show a grant in plain words: status, what it allows, approvals, a proposed version, terms',
    examples: ['sallyport grant show grt_01…', 'sallyport grant show grt_01… --json'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .action(async (grantId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const grant = await broker.get(`/grants/${grantId}`, grantSchema);
      if (options.json) {
        printJson(around, grant);
        return;
      }
      const named = await namesFor(broker, grant);
      printDetails(around, describeGrant(grant, named));
      if (grant.proposed) {
        around.out('\n');
        printDetails(around, describeProposal(grant.proposed, named));
      }
      const { terms } = grant.spec;
      printText(
        around,
        `Terms, version ${terms.version} (SHA-256 ${grant.termsDigest}):`,
        terms.text,
      );
    });
}
