/** `sallyport whoami`: who the broker takes the caller for. */
import type { Command } from 'commander';
import { connect } from './connection.ts';
import { defineBrokerCommand, type BrokerOptions } from './define.ts';
import { printDetails, printJson } from './output.ts';
import type { Surroundings } from './surroundings.ts';
import { meSchema } from './wire.ts';

export function addWhoami(program: Command, around: Surroundings): void {
  defineBrokerCommand(program, 'whoami', {
    summary: 'Show who the broker takes you for',
    examples: ['sallyport whoami', 'sallyport whoami --profile demo --json'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const me = await broker.get('/me', meSchema);
    if (options.json) {
      printJson(around, me);
      return;
    }
    printDetails(around, [
      ['person', `${me.person.name} (${me.person.id})`],
      ['roles', me.person.roles.join(', ')],
      ['lab', `${me.lab.name} (${me.lab.id}, ${me.lab.kind})`],
      ['broker', broker.url],
    ]);
  });
}
