/** Reads small files that the user names. */
import { readFileSync, statSync } from 'node:fs';
import { fileTrouble, wrongUsage } from './problems.ts';

/** More than any text has that is written by hand. */
const MOST_BYTES = 1024 * 1024;

/**
 * The text of a file.
 *
 * @param what what the file should hold, for the message
 * @throws CliError
 */
export function readInputFile(path: string, what: string): string {
  try {
    if (statSync(path).size <= MOST_BYTES) return readFileSync(path, 'utf8');
  } catch (error) {
    throw wrongUsage(`Cannot read the ${what} ${path}: ${fileTrouble(error)}.`, error);
  }
  throw wrongUsage(`${path} is too large for a ${what}.`);
}
