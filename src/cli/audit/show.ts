/** `sallyport audit show` */
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printDetails, printJson, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { entrySchema } from '../wire.ts';

export function addAuditShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show one entry of the log, with everything that it says',
    details: 'The reading itself goes on record.',
    examples: ['sallyport audit show 42', 'sallyport audit show 42 --json'],
  })
    .argument('<index>', 'the index of the entry', wholeNumber(0))
    .action(async (index: number, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const found = await broker.get(`/log/entries/${index}`, entrySchema);
      if (options.json) printJson(around, found);
      else printDetails(around, [['index', found.index], ...flat(found.entry)]);
    });
}

/** Members of members as `data.comment`: an entry has few levels. */
function flat(value: object, prefix = ''): [string, Cell][] {
  return Object.entries(value).flatMap(([name, member]: [string, unknown]): [string, Cell][] => {
    const path = `${prefix}${name}`;
    if (path === 'index') return [];
    if (typeof member === 'object' && member !== null && !Array.isArray(member))
      return flat(member, `${path}.`);
    return [[path, typeof member === 'string' ? member : JSON.stringify(member)]];
  });
}
