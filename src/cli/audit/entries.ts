/** `sallyport audit entries` */
import type { Command } from 'commander';
import { id, wholeNumber } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import type { Named } from '../names.ts';
import { moment, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { entrySchema, type Entry } from '../wire.ts';

interface EntriesOptions extends ListOptions {
  ref?: string;
  kind?: string;
  grant?: string;
  from: number;
}

export function addAuditEntries(group: Command, around: Surroundings): void {
  defineListCommand(group, 'entries', {
    summary: 'List entries of the log that you may see, in its order',
    details: 'The reading itself goes on record.',
    examples: [
      'sallyport audit entries --kind order.issued',
      'sallyport audit entries --ref grt_01… --json',
      'sallyport audit entries --grant grt_01… --from 1200 --limit 50',
    ],
  })
    .option('--ref <id>', 'only of this request, grant, order, token or person')
    .option('--kind <kind>', 'only of this kind, such as request.denied')
    .option('--grant <id>', 'only under this grant', id('grt'))
    .option('--from <index>', 'from this index on', wholeNumber(0), 0)
    .action(async (options: EntriesOptions) => {
      const { ref, kind, grant, from, limit } = options;
      const broker = await connect(around, options);
      const query = { ref, kind, grant, from };
      const entries = await broker.list('/log/entries', entrySchema, limit, query);
      await printNamedList(
        around,
        broker,
        options,
        entries,
        ['index', 'at', 'kind', 'actor', 'ref', 'result'],
        row,
      );
    });
}

function row({ index, entry }: Entry, named: Named): Cell[] {
  const { actor, decision, reason } = entry;
  return [
    index,
    moment(entry.at),
    entry.kind,
    'person' in actor ? named(String(actor.person)) : `(${actor.system})`,
    named(entry.ref),
    reason === undefined ? decision : `${decision ?? ''} ${reason}`.trim(),
  ];
}
