/** The migrations runner. How to write a migration: migrations/README.md. */
import Database from 'better-sqlite3';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SqliteConnection } from './database.ts';

/** The database of the log and the state, or the one of transcripts: each has a folder of its own. */
type Kind = 'sqlite' | 'transcripts';

interface Migration {
  number: number;
  sql: string;
}

function readMigrations(kind: Kind): Migration[] {
  const folder = fileURLToPath(new URL(`../../migrations/${kind}/`, import.meta.url));
  const files = readdirSync(folder)
    .filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name))
    .sort();
  return files.map((name, i) => {
    const number = Number(name.slice(0, 4));
    if (number !== i + 1)
      throw new Error(`Migration ${name} is out of sequence: ${i + 1} was expected.`);
    return { number, sql: readFileSync(join(folder, name), 'utf8') };
  });
}

/**
 * Refuses a database of a newer version, looking through a connection that cannot write: what this
 * version does not understand it must leave as it is.
 *
 * @throws when the database has migrations that this version does not know
 */
export function refuseNewerDatabase(path: string, kind: Kind = 'sqlite'): void {
  if (!existsSync(path)) return;
  const connection = new Database(path, { readonly: true });
  try {
    const known = readMigrations(kind).length;
    const found = Number(connection.pragma('user_version', { simple: true }));
    if (found > known) {
      throw new Error(
        `The data in ${path} was written by a newer version of Sallyport (schema ${found}; this one knows ${known}). Start that version, or another data directory.`,
      );
    }
  } finally {
    connection.close();
  }
}

/** Applies what is missing, each migration in a transaction of its own together with its number. */
export function migrate(connection: SqliteConnection, kind: Kind = 'sqlite'): void {
  const applied = Number(connection.pragma('user_version', { simple: true }));
  for (const { number, sql } of readMigrations(kind)) {
    if (number <= applied) continue;
    connection.transaction(() => {
      connection.exec(sql);
      connection.pragma(`user_version = ${number}`);
    })();
  }
}
