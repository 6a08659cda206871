/** Writing entries into the database, by a statement that is prepared once. */
import type { WrittenEntry } from '../core/audit/entry.ts';
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';

/** An entry with its place in the log. */
export interface PlacedEntry {
  index: number;
  /** What it is found by. */
  entry: Pick<WrittenEntry, 'id' | 'kind' | 'ref' | 'lab' | 'person' | 'grant'>;
  /** Its hash as a leaf of the tree. */
  leaf: Buffer;
  /** The exact bytes: what was hashed. */
  bytes: Buffer;
}

type MaybeText = string | null;

const insert = prepared((db) =>
  db.$client.prepare<
    [number, string, string, MaybeText, MaybeText, MaybeText, MaybeText, Buffer, Buffer]
  >(
    'INSERT INTO entries (idx, id, kind, ref, lab_id, person_id, grant_id, leaf, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  ),
);

/** Writes an entry in the open transaction: durable when that has committed. */
export function insertEntry(db: Db, { index, entry, leaf, bytes }: PlacedEntry): void {
  const { id, kind, ref, lab, person, grant } = entry;
  insert(db).run(
    index,
    id,
    kind,
    ref ?? null,
    lab ?? null,
    person ?? null,
    grant ?? null,
    leaf,
    bytes,
  );
}
