/** The data directory: everything that the broker keeps, readable by its owner only. */
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DATABASE_FILE } from './database.ts';
import { LOCK_FILE } from './lock.ts';
import { TRANSCRIPTS_FILE } from './transcripts/database.ts';
import { refuseNewerDatabase } from './migrations.ts';

export interface DataDirectory {
  path: string;
  database: string;
  /** The database of transcripts. */
  transcripts: string;
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
  // First, so that what a newer version wrote is left exactly as it is.
  refuseNewerDatabase(join(path, DATABASE_FILE));
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
  const database = join(path, DATABASE_FILE);
  // Made here for its mode: SQLite would make it readable to all, and its side files take after it.
  for (const file of [database, join(path, LOCK_FILE)]) closeSync(openSync(file, 'a', 0o600));
  return { path, keys, database, transcripts: join(path, TRANSCRIPTS_FILE) };
}
