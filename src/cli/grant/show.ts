/** `sallyport grant show`: what a grant allows, in plain words, and how it stands. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printDetails, printJson, printText } from '../output.ts';
import { CliError } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema, labSchema, personSchema } from '../wire.ts';
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
      const names = await namesOf(broker);
      printDetails(
        around,
        describeGrant(grant, (someId) => names.get(someId)),
      );
      if (grant.proposed) {
        around.out('\n');
        printDetails(
          around,
          describeProposal(grant.proposed, (someId) => names.get(someId)),
        );
      }
      const { terms } = grant.spec;
      printText(
        around,
        `Terms, version ${terms.version} (SHA-256 ${grant.termsDigest}):`,
        terms.text,
      );
    });
}

/** Names of the labs and people that the caller may see. An ornament: without them, ids are shown. */
export async function namesOf(broker: BrokerClient): Promise<Map<string, string>> {
  try {
    const [labs, people] = await Promise.all([
      broker.list('/labs', labSchema, 500),
      broker.list('/people', personSchema, 500),
    ]);
    return new Map([...labs.items, ...people.items].map((item) => [item.id, item.name]));
  } catch (error) {
    if (error instanceof CliError) return new Map();
    throw error;
  }
}
