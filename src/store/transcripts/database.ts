/** Opening the database of transcripts. */
import Database from 'better-sqlite3';
import { closeSync, openSync } from 'node:fs';
import type { SqliteConnection } from '../database.ts';
import { migrate, refuseNewerDatabase } from '../migrations.ts';

/** Its name in the data directory. */
export const TRANSCRIPTS_FILE = 'transcripts.db';

/**
 * Opens the one connection that writes. What is deleted is overwritten with zeros (`secure_delete`): destroyed is not
 * merely forgotten.
 *
 * @throws when it cannot be used, with the reason
 */
export function openTranscripts(path: string): SqliteConnection {
  // Made here for its mode: SQLite would make it readable to all, and its side files take after it.
  closeSync(openSync(path, 'a', 0o600));
  refuseNewerDatabase(path, 'transcripts');
  const connection = new Database(path);
  const settings: [string, string, string | number][] = [
    ['journal_mode', 'WAL', 'wal'],
    ['synchronous', 'FULL', 2],
    ['secure_delete', 'ON', 1],
    ['foreign_keys', 'ON', 1],
  ];
  for (const [name, value, wanted] of settings) {
    connection.pragma(`${name} = ${value}`);
    const got: unknown = connection.pragma(name, { simple: true });
    if (got === wanted) continue;
    connection.close();
    throw new Error(
      `SQLite did not take "${name} = ${value}" for ${path} (it says ${String(got)}). Use a local disk.`,
    );
  }
  connection.pragma('busy_timeout = 200');
  // 16 MB. Before that, a thread of its own has copied most of it back (src/wal-checkpointer.ts).
  connection.pragma('wal_autocheckpoint = 4000');
  migrate(connection, 'transcripts');
  return connection;
}

/** A file has fewer chunks. */
const CHUNKS_OF_A_FILE = 2 ** 20;

/** The id of a chunk of a file. */
export const chunkId = (file: number, n: number): number => file * CHUNKS_OF_A_FILE + n;
