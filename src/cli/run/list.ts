/** `sallyport run list` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { runSchema } from '../wire.ts';

interface RunListOptions extends ListOptions {
  grant?: string;
  of?: string;
  open?: boolean;
}

export function addRunList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the runs that you may see, newest first, with their live tokens',
    details:
      'A researcher sees the runs that they take part in; of those that somebody else began, their own tokens alone.',
    examples: ['sallyport run list --open', 'sallyport run list --of per_01… --json'],
  })
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--of <id>', 'only those that this person takes part in', id('per'))
    .option('--open', 'only those that have not been handed back')
    .action(async (options: RunListOptions) => {
      const { grant, of, open } = options;
      const broker = await connect(around, options);
      const query = { grant, person: of, open };
      const runs = await broker.list('/runs', runSchema, options.limit, query);
      await printNamedList(
        around,
        broker,
        options,
        runs,
        ['id', 'name', 'grant', 'purpose', 'begun by', 'since', 'live tokens', 'last use', 'ended'],
        (run, named) => [
          run.id,
          run.name,
          named(run.grantId),
          run.purpose,
          named(run.personId),
          moment(run.createdAt),
          run.liveTokens,
          moment(run.lastUsedAt),
          moment(run.endedAt),
        ],
      );
    });
}
