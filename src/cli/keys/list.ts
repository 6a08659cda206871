/** `sallyport keys list` */
import type { Command } from 'commander';
import { z } from 'zod';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, printJson, printTable } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { listedKeySchema } from '../wire.ts';

export function addKeysList(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'list', {
    summary: 'List the keys that sign tokens, newest first',
    details:
      'A key is "next" from when it is published until it signs, then "active", then "retiring" until its last token has expired, then "retired".',
    examples: ['sallyport keys list', 'sallyport keys list --json'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const answer = await broker.get('/keys', z.looseObject({ items: z.array(listedKeySchema) }));
    if (options.json) printJson(around, answer);
    else {
      printTable(
        around,
        ['kid', 'state', 'created', 'signs from', 'signed until', 'retired', 'live tokens'],
        answer.items.map((key) => [
          key.kid,
          key.state,
          moment(key.createdAt),
          moment(key.activatedAt ?? key.activatesAt),
          moment(key.replacedAt),
          moment(key.retiredAt),
          key.liveTokens,
        ]),
      );
    }
  });
}
