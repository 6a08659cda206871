/** Opening the SQLite database, for the writer and for readers. */
import Database from 'better-sqlite3';
import { drizzle, type BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import * as schema from './schema.ts';

export type SqliteConnection = Database.Database;
export type Db = BetterSQLite3Database<typeof schema> & { $client: SqliteConnection };

/** Name of the database file in the data directory. */
export const DATABASE_FILE = 'sallyport.db';

/**
 * Opens the one connection that writes.
 *
 * `synchronous=FULL` makes a commit durable before it returns; better-sqlite3's default (NORMAL in WAL
 * mode) can lose the last commits when power fails. Both settings are read back, since a build of SQLite
 * may silently refuse them.
 */
export function openForWriting(path: string): SqliteConnection {
  const connection = new Database(path);
  connection.pragma('journal_mode = WAL');
  connection.pragma('synchronous = FULL');
  connection.pragma('foreign_keys = ON');
  // Without it REPLACE would remove audit entries past the trigger that forbids it.
  connection.pragma('recursive_triggers = ON');
  connection.pragma('busy_timeout = 200');
  // 16 MB. Before that, a thread of its own has copied most of it back (src/wal-checkpointer.ts): what is left is done
  // here, between two commits.
  connection.pragma('wal_autocheckpoint = 4000');
  assertPragma(connection, 'journal_mode', 'wal');
  assertPragma(connection, 'synchronous', 2);
  assertPragma(connection, 'foreign_keys', 1);
  assertPragma(connection, 'recursive_triggers', 1);
  return connection;
}

/** Opens a connection that checkpoints the write-ahead log and does nothing else. */
export function openForCheckpoints(path: string): SqliteConnection {
  const connection = new Database(path, { fileMustExist: true });
  connection.pragma('synchronous = FULL');
  return connection;
}

/** Opens a connection that can only read. */
export function openForReading(path: string): Db {
  const connection = new Database(path, { readonly: true, fileMustExist: true });
  connection.pragma('query_only = ON');
  return withDrizzle(connection);
}

export function withDrizzle(connection: SqliteConnection): Db {
  return drizzle(connection, { schema });
}

function assertPragma(connection: SqliteConnection, name: string, wanted: string | number): void {
  const got: unknown = connection.pragma(name, { simple: true });
  if (got !== wanted) {
    throw new Error(
      `SQLite did not take "${name} = ${wanted}" (it says ${String(got)}), so commits would not be durable. Use a local disk.`,
    );
  }
}
