/** One broker per data directory. */
import Database from 'better-sqlite3';
import { join } from 'node:path';

export const LOCK_FILE = 'lock.db';

/**
 * Takes the data directory for this process. The lock is SQLite's own lock on a file of its own, held by
 * an open transaction: the operating system gives it back however the process ends, so that a crash
 * leaves nothing to clean up.
 *
 * @throws when another process holds it
 * @returns gives the lock back
 */
export function lockDataDirectory(directory: string): () => void {
  const connection = new Database(join(directory, LOCK_FILE), { timeout: 0 });
  try {
    connection.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    connection.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new Error(
        `Another broker is running on the data directory ${directory}. Stop it first, or use another directory.`,
        { cause: error },
      );
    }
    throw error;
  }
  return () => connection.close();
}
