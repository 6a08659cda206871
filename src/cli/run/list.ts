/** `sallyport run list` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { callerOf, connect, type ConnectionAsOptions } from '../connection.ts';
import { defineListCommand, printList } from '../lists.ts';
import { moment, type JsonOption } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { runSchema } from '../wire.ts';

interface RunListOptions extends ConnectionAsOptions, JsonOption {
  limit: number;
  grant?: string;
  person?: string;
  open?: boolean;
}

export function addRunList(group: Command, around: Surroundings): void {
  const command = defineListCommand(
    group,
    'list',
    {
      summary: 'List the runs that you may see, newest first, with their live tokens',
      details:
        'A researcher sees the runs that they take part in; of those that somebody else began, their own tokens alone.',
      examples: ['sallyport run list --open', 'sallyport run list --grant grt_01… --json'],
    },
    'as',
  );
  command
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--person <id>', 'only those that this person takes part in', id('per'))
    .option('--open', 'only those that have not been handed back')
    .action(async (options: RunListOptions) => {
      const { grant, person, open } = options;
      const broker = await connect(around, callerOf(options), 'as');
      const query = { grant, person, open };
      const runs = await broker.list('/runs', runSchema, options.limit, query);
      printList(
        around,
        options,
        runs,
        ['id', 'name', 'grant', 'purpose', 'begun by', 'since', 'live tokens', 'last use', 'ended'],
        (run) => [
          run.id,
          run.name,
          run.grantId,
          run.purpose,
          run.personId,
          moment(run.createdAt),
          run.liveTokens,
          moment(run.lastUsedAt),
          moment(run.endedAt),
        ],
      );
    });
}
