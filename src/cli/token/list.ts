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
  run?: string;
  lab?: string;
  kid?: string;
  live?: boolean;
}

export function addTokenList(group: Command, around: Surroundings): void {
  const command = defineListCommand(
    group,
    'list',
    {
      summary: 'List the tokens that you may see, newest first; never the tokens themselves',
      details: 'One that is bound is good only for whoever holds the key that it is bound to.',
      examples: [
        'sallyport token list --live',
        'sallyport token list --grant grt_01… --json',
        'sallyport token list --live --kid QpN…',
      ],
    },
    'as',
  );
  command
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--person <id>', 'only of this person', id('per'))
    .option('--run <id>', 'only of this run, as "run list" names it', id('run'))
    .option('--lab <id>', 'only of this lab', id('lab'))
    .option('--kid <kid>', 'only those got with this key, as "person show" lists it')
    .option('--live', 'only those that have neither expired nor been revoked')
    .action(async (options: TokenListOptions) => {
      const { grant, person, run, lab, kid, live } = options;
      const broker = await connect(around, callerOf(options), 'as');
      const query = { grant, person, run, lab, key: kid, live };
      const tokens = await broker.list('/tokens', tokenSchema, options.limit, query);
      printList(
        around,
        options,
        tokens,
        ['id', 'person', 'grant', 'purpose', 'run', 'until', 'revoked', 'last use', 'bound'],
        (token) => [
          token.id,
          token.personId,
          token.grantId ?? 'control API',
          token.purpose,
          token.runName,
          moment(token.expiresAt),
          moment(token.revokedAt),
          moment(token.lastUsedAt),
          token.bound === null ? 'no' : 'yes',
        ],
      );
    });
}
