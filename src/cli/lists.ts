/** What all lists share: how many things are shown, and that there are more. */
import type { Command } from 'commander';
import { wholeNumber } from './arguments.ts';
import type { BrokerClient, Page } from './broker-client.ts';
import { defineBrokerCommand, type BrokerOptions, type CommandHelp } from './define.ts';
import { namesFor, unnamed, type Named } from './names.ts';
import { note, printJson, printTable, type Cell, type JsonOption } from './output.ts';
import type { Surroundings } from './surroundings.ts';

export interface ListOptions extends BrokerOptions {
  limit: number;
}

/** Adds a command that lists things. */
export function defineListCommand(parent: Command, usage: string, help: CommandHelp): Command {
  return defineBrokerCommand(parent, usage, help).option(
    '--limit <n>',
    'show so many at most',
    wholeNumber(1),
    200,
  );
}

/** The same, with names beside ids where the row puts them. */
export async function printNamedList<T>(
  around: Surroundings,
  broker: BrokerClient,
  options: JsonOption,
  page: Page<T>,
  head: string[],
  row: (item: T, named: Named) => Cell[],
): Promise<void> {
  const named = options.json ? unnamed : await namesFor(broker, page.items);
  printList(around, options, page, head, (item) => row(item, named));
}

/** Prints a list as a table, or as JSON with where its next part begins. */
export function printList<T>(
  around: Surroundings,
  { json }: JsonOption,
  page: Page<T>,
  head: string[],
  row: (item: T) => Cell[],
): void {
  if (json) {
    printJson(around, page);
    return;
  }
  if (page.items.length === 0) note(around, 'None.');
  else printTable(around, head, page.items.map(row));
  if (page.next !== null)
    note(around, `There are more than these ${page.items.length}: raise --limit to see them.`);
}
