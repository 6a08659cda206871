/** `sallyport token list` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { callerOf, connect, type ConnectionAsOptions } from '../connection.ts';
import { defineListCommand, printList } from '../lists.ts';
import { moment, type JsonOption } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { tokenSchema } from '../wire.ts';

interface TokenListOptions extends ConnectionAsOptions, JsonOption {
  limit: number;
  grant?: string;
  person?: string;
  live?: boolean;
}

export function addTokenList(group: Command, around: Surroundings): void {
  const command = defineListCommand(
    group,
    'list',
    {
      summary: 'List the tokens that you may see, newest first; never the tokens themselves',
      examples: ['sallyport token list --live', 'sallyport token list --grant grt_01… --json'],
    },
    'as',
  );
  command
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--person <id>', 'only of this person', id('per'))
    .option('--live', 'only those that have neither expired nor been revoked')
    .action(async (options: TokenListOptions) => {
      const { grant, person, live } = options;
      const broker = await connect(around, callerOf(options), 'as');
      const query = { grant, person, live };
      const tokens = await broker.list('/tokens', tokenSchema, options.limit, query);
      printList(
        around,
        options,
        tokens,
        ['id', 'person', 'grant', 'purpose', 'run', 'until', 'revoked'],
        (token) => [
          token.id,
          token.personId,
          token.grantId ?? 'control API',
          token.purpose,
          token.runName,
          moment(token.expiresAt),
          moment(token.revokedAt),
        ],
      );
    });
}
