/** Statements of the paths that requests wait for: prepared once, and not at each call. */
import type { Db } from './database.ts';

/**
 * Keeps a statement with the connection it was prepared on: putting one together and having SQLite compile
 * it takes several times as long as running it.
 *
 * @param prepare makes the statement; what changes from call to call is a placeholder in it
 * @returns the statement of a connection
 */
export function prepared<S>(prepare: (db: Db) => S): (db: Db) => S {
  const known = new WeakMap<Db, S>();
  return (db) => {
    const found = known.get(db);
    if (found) return found;
    const made = prepare(db);
    known.set(db, made);
    return made;
  };
}
