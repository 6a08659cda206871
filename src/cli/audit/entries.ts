/** `sallyport audit entries` */
import type { Command } from 'commander';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { namesFor } from '../names.ts';
import { note, printTable } from '../output.ts';
import type { BrokerClient, Query } from '../broker-client.ts';
import type { Surroundings } from '../surroundings.ts';
import { entrySchema } from '../wire.ts';
import { ENTRY_HEAD, entryRow } from './print.ts';
import { searchQuery, withSearchOptions, type SearchOptions } from './search-options.ts';

interface EntriesOptions extends ListOptions, SearchOptions {
  newest?: boolean;
  all?: boolean;
}

const PATH = '/log/entries';

export function addAuditEntries(group: Command, around: Surroundings): void {
  const command = defineListCommand(group, 'entries', {
    summary: 'Search the entries of the log that you may see',
    details:
      'In the order of the log, unless --newest says otherwise. The reading itself goes on record.',
    examples: [
      'sallyport audit entries --since 2h --decision denied',
      'sallyport audit entries --kind order.issued --kind order.lifted --newest',
      'sallyport audit entries --run run_01… --json --all',
      'sallyport audit entries --grant grt_01… --from 1200 --limit 50',
    ],
  })
    .option('--newest', 'the newest entries first')
    .option('--all', 'all of them, page by page, whatever --limit says');
  withSearchOptions(command).action(async (options: EntriesOptions) => {
    const broker = await connect(around, options);
    const query: Query = { ...searchQuery(around, options), newest: options.newest };
    if (options.all) await printAll(around, broker, query, options.json === true);
    else {
      const entries = await broker.list(PATH, entrySchema, options.limit, query);
      await printNamedList(around, broker, options, entries, ENTRY_HEAD, entryRow);
      noteArchived(around, entries.archivedBefore);
    }
  });
}

/** What was not looked at, since it is not there. */
function noteArchived(around: Surroundings, before: number | null | undefined): void {
  if (typeof before !== 'number') return;
  note(
    around,
    `Entries below ${before} were not looked at: they are in archives ("${commandLine(around, 'audit archives')}").`,
  );
}

/** Prints pages as they come: a log of any length in bounded memory, and with `json` still one document. */
async function printAll(
  around: Surroundings,
  broker: BrokerClient,
  query: Query,
  json: boolean,
): Promise<void> {
  let count = 0;
  if (json) around.out('{"items": [');
  for await (const { items, archivedBefore } of broker.pages(PATH, entrySchema, Infinity, query)) {
    noteArchived(around, archivedBefore);
    if (json)
      for (const item of items) {
        around.out(`${count === 0 ? '' : ','}\n${JSON.stringify(item)}`);
        count += 1;
      }
    else if (items.length > 0) {
      const named = await namesFor(broker, items);
      const rows = items.map((item) => entryRow(item, named));
      printTable(around, count === 0 ? ENTRY_HEAD : [], rows);
      count += items.length;
    }
  }
  if (json) around.out('\n], "next": null}\n');
  else if (count === 0) note(around, 'None.');
}
