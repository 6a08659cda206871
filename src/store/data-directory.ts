/** The data directory: everything that the broker keeps, readable by its owner only. */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE_FILE } from './database.ts';

export interface DataDirectory {
  path: string;
  database: string;
  /** Private keys of the log and of tokens. */
  keys: string;
}

/**
 * Makes the data directory where it is missing (mode 0700), and refuses one that others may look into.
 *
 * @throws with what to do about it
 */
export function prepareDataDirectory(path: string): DataDirectory {
  const keys = join(path, 'keys');
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const status = statSync(path);
  if (!status.isDirectory()) throw new Error(`The data directory ${path} is not a directory.`);
  if ((status.mode & 0o077) !== 0) {
    throw new Error(
      `The data directory ${path} is open to others (mode ${(status.mode & 0o777).toString(8)}). Run "chmod 700 ${path}".`,
    );
  }
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  chmodSync(keys, 0o700);
  return { path, keys, database: join(path, DATABASE_FILE) };
}
