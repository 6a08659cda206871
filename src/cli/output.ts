/** Prints answers: JSON for programs, tables and plain lines for people. */
import Table from 'cli-table3';
import { manyLines, oneLine } from './printable.ts';
import type { Surroundings } from './surroundings.ts';

type Out = Pick<Surroundings, 'out'>;

export interface JsonOption {
  json?: boolean;
}

/** What stands in a table's cell. Nothing is shown as a dash. */
export type Cell = string | number | null | undefined;

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** The one JSON document of a command that was called with `--json`. */
export function printJson({ out }: Out, document: unknown): void {
  out(`${JSON.stringify(document, null, 2)}\n`);
}

/** One line of an answer. Names and texts in it are others' and may hold anything: nothing of it acts on the terminal. */
export function say({ out }: Out, line: string): void {
  out(`${oneLine(line)}\n`);
}

/** One line beside the answer, on standard error. */
export function note({ err }: Pick<Surroundings, 'err'>, line: string): void {
  err(`${oneLine(line)}\n`);
}

/** A list: a line for each thing, under headings. */
export function printTable({ out }: Out, head: string[], rows: Cell[][]): void {
  const table = plainTable(head.map((title) => title.toUpperCase()));
  for (const row of rows) table.push(row.map(cellText));
  out(`${withoutTrailingSpace(table.toString())}\n`);
}

/** One thing: a line for each of its properties. Properties that are undefined are left out. */
export function printDetails({ out }: Out, details: [string, Cell][]): void {
  const table = plainTable();
  for (const [name, value] of details) {
    if (value !== undefined) table.push([name, cellText(value)]);
  }
  out(`${withoutTrailingSpace(table.toString())}\n`);
}

/** A heading with a text of several lines under it, indented so that the text cannot imitate what is around it. */
export function printText({ out }: Out, heading: string, text: string): void {
  const indented = manyLines(text)
    .trimEnd()
    .split('\n')
    .map((line) => `  | ${line}`.trimEnd());
  out(`\n${oneLine(heading)}\n${indented.join('\n')}\n`);
}

/** A moment as people read it: RFC 3339 in UTC, to the second. */
export function moment(time: string | number | null | undefined): string | undefined {
  if (time === null || time === undefined) return undefined;
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A count with its noun: "1 request", "2 requests". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : plural}`;
}

function plainTable(head: string[] = []): Table.GenericTable<Table.HorizontalTableRow> {
  return new Table({
    head,
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  }) as Table.GenericTable<Table.HorizontalTableRow>;
}

function cellText(value: Cell): string {
  return value === null || value === undefined || value === '' ? '-' : oneLine(String(value));
}

function withoutTrailingSpace(text: string): string {
  return text.replaceAll(/ +$/gm, '');
}
