/** Indexes of earlier versions that nothing goes by any more: emptied and dropped in steps, since a long log has long ones. */
import type { Db } from './database.ts';

/** Each with the column that it begins with. */
const OLD_INDEXES = {
  entries_by_kind: 'kind',
  entries_by_lab: 'lab_id',
  entries_by_person: 'person_id',
  entries_by_grant: 'grant_id',
};

/** Rows that are deleted in one commit: about 10 ms. */
const ROWS = 4_096;

/** @returns undefined where none is left */
export function oldIndex(db: Db): string | undefined {
  const isThere = db.$client.prepare(
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
  );
  return Object.keys(OLD_INDEXES).find((table) => isThere.get(table) !== undefined);
}

/** Deletes some of the rows of an old index, in the transaction that is open; one that is empty is dropped. */
export function shrinkOldIndex(db: Db): void {
  const table = oldIndex(db);
  if (table === undefined) return;
  const key = `${OLD_INDEXES[table as keyof typeof OLD_INDEXES]}, idx`;
  const { changes } = db.$client
    .prepare(
      `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT ${ROWS})`,
    )
    .run();
  if (changes === 0) db.$client.exec(`DROP TABLE ${table}`);
}
