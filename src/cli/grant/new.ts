/** `sallyport grant new`: asks, explains each choice, shows the grant, and submits it after a yes. */
import type { Command } from 'commander';
import { commandLine, sallyport } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { note, printDetails, printText, say } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { describeGrant } from './describe.ts';
import { askForGrant } from './questions.ts';

export function addGrantNew(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'new', {
    summary: 'Write a grant by answering questions, see it, and submit it',
    details:
      'Each question says what the choice means. The result is a draft, shown in full with who has to approve it; it is submitted after a yes, and not otherwise. In a file, everything can be said: "grant template" and "grant apply".',
    examples: ['sallyport grant new'],
  }).action(async (options: BrokerOptions) => {
    if (!around.interactive || options.json) {
      const command = sallyport(around.env);
      throw wrongUsage(
        `"grant new" asks questions, and there is nobody to ask. Write a file: "${command} grant template > grant.yaml", then "${command} grant apply --file grant.yaml --yes".`,
      );
    }
    const broker = await connect(around, options);
    const spec = await askForGrant(around, broker);
    const grant = await broker.post('/grants', grantSchema, spec);
    const named = await namesFor(broker, grant);
    printDetails(around, describeGrant(grant, named));
    const { terms } = grant.spec;
    printText(around, `Terms, version ${terms.version}:`, terms.text);
    const needed = grant.approvalsNeeded.join(', ');
    const question = `Submit it? It then needs the approval of: ${needed}; none of them you.`;
    const run = (words: string): string => commandLine(around, words, options.profile);
    if (!(await around.confirm(question))) {
      say(around, `${grant.id} is a draft. Nobody reviews it before it is submitted.`);
      note(
        around,
        `Next: ${run(`grant submit ${grant.id}`)}, or ${run(`grant withdraw ${grant.id}`)}`,
      );
      return;
    }
    const submitted = await broker.post(`/grants/${grant.id}/submit`, grantSchema, {
      version: grant.version,
    });
    say(around, `Submitted ${submitted.id}. It is ${submitted.status} now.`);
  });
}
