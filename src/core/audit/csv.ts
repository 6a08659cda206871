/** CSV (RFC 4180) that a spreadsheet can open: no cell of it is a formula. */
import type { CellValue, Column } from './columns.ts';

/** What spreadsheets take for the beginning of a formula, or skip before one. */
const FORMULA = /^[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]/;

/** A line of cells, with its end. */
export const csvLine = (cells: readonly string[]): string => `${cells.join(',')}\r\n`;

/**
 * A cell. Text that a spreadsheet would calculate gets an apostrophe before it; what is empty is "" in quotes, to tell it
 * from what is not said.
 */
export function csvCell(value: CellValue, type: Column['type']): string {
  if (value === null) return '';
  if (type === 'moment') return new Date(value as number).toISOString();
  if (typeof value !== 'string') return String(value);
  const inert = FORMULA.test(value) ? `'${value}` : value;
  return inert === '' || NEEDS_QUOTES.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
