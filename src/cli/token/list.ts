/** `sallyport token list` */
import type { Command } from 'commander';
import { id, notEmpty } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { isOfGateway, tokenSchema } from '../wire.ts';

interface TokenListOptions extends ListOptions {
  grant?: string;
  of?: string;
  run?: string;
  lab?: string;
  kid?: string;
  live?: boolean;
  control?: boolean;
}

export function addTokenList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List the tokens that you may see, newest first; never the tokens themselves',
    details:
      'Of the gateway; --control adds those of the control API, one of which each command gets for itself. One that is bound is good only for whoever holds the key that it is bound to.',
    examples: [
      'sallyport token list --live',
      'sallyport token list --grant grt_01… --json',
      'sallyport token list --live --of per_01… --control',
    ],
  })
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--of <id>', 'only of this person', id('per'))
    .option('--run <id>', 'only of this run, as "run list" names it', id('run'))
    .option('--lab <id>', 'only of this lab', id('lab'))
    .option('--kid <kid>', 'only those got with this key, as "person show" lists it', notEmpty)
    .option('--live', 'only those that have neither expired nor been revoked')
    .option('--control', 'those of the control API, too')
    .action(async (options: TokenListOptions) => {
      const { grant, of, run, lab, kid, live, control } = options;
      const broker = await connect(around, options);
      const audience = control ? undefined : 'gateway';
      const query = { grant, person: of, run, lab, key: kid, live, audience };
      const tokens = await broker.list('/tokens', tokenSchema, options.limit, query);
      await printNamedList(
        around,
        broker,
        options,
        tokens,
        ['id', 'person', 'grant', 'purpose', 'run', 'until', 'revoked', 'last use', 'bound'],
        (token, named) => [
          token.id,
          named(token.personId),
          isOfGateway(token) ? named(token.grantId) : 'control API',
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
