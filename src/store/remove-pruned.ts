/**
 * Takes entries that were pruned out of the database, in steps of some milliseconds: requests do not wait for it. Each step is
 * a transaction, and what is left is known by the entries that are there, so that a crash loses nothing and the next
 * start goes on. The pages that this frees are used again by what is written later; the file does not get smaller.
 */
import { termsOf, type Term } from '../core/audit/entry-terms.ts';
import type { Db } from './database.ts';
import { STEP } from './entry-index.ts';
import { CHUNK, addPlaces, encodePlaces, noPlaces, placesOf } from './postings.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';
import { STAYING_FIELDS } from './search-index.ts';

const oldest = prepared((db) =>
  db.$client.prepare<[], number | null>('SELECT min(idx) FROM entries').pluck(),
);

/** Whether entries are there that were pruned. */
export function arePrunedLeft(db: Db): boolean {
  const first = oldest(db).get();
  return first !== null && first !== undefined && first < minimumIndex(db);
}

/** Takes the oldest entries away that were pruned, those of one step, in the transaction that is open. */
export function removePrunedStep(db: Db): void {
  const first = oldest(db).get();
  const below = minimumIndex(db);
  if (first === null || first === undefined || first >= below) return;
  const end = Math.min(first - (first % STEP) + STEP, below);
  removeTerms(db, first, end, below);
  removeRefs(db).run(first, end);
  removeEntries(db).run(first, end);
}

const removeEntries = prepared((db) =>
  db.$client.prepare<[number, number]>('DELETE FROM entries WHERE idx >= ? AND idx < ?'),
);

const removeRefs = prepared((db) =>
  db.$client.prepare<[number, number]>(
    `DELETE FROM entries_by_ref WHERE (ref, idx) IN
       (SELECT ref, idx FROM entries WHERE idx >= ? AND idx < ? AND ref IS NOT NULL)`,
  ),
);

const texts = prepared((db) =>
  db.$client
    .prepare<[number, number], string>(
      'SELECT CAST(bytes AS TEXT) FROM entries WHERE idx >= ? AND idx < ?',
    )
    .pluck(),
);

const placesIn = prepared((db) =>
  db.$client
    .prepare<[string, string, number], Buffer>(
      'SELECT places FROM entry_terms WHERE field = ? AND value = ? AND chunk = ?',
    )
    .pluck(),
);

const removeTerm = prepared((db) =>
  db.$client.prepare<[string, string, number]>(
    'DELETE FROM entry_terms WHERE field = ? AND value = ? AND chunk = ?',
  ),
);

const writePlaces = prepared((db) =>
  db.$client.prepare<[Buffer, string, string, number]>(
    'UPDATE entry_terms SET places = ? WHERE field = ? AND value = ? AND chunk = ?',
  ),
);

/**
 * What the index of searches says of these entries. Of a chunk that goes as a whole, its terms go; of another one, their
 * places. The times of chunks stay: they say nothing of anybody, and that the index covers them. So does by what the index of
 * calls is looked through (call-index.ts), which stays as well.
 */
function removeTerms(db: Db, first: number, end: number, below: number): void {
  const chunk = Math.floor(first / CHUNK);
  const isWhole = (chunk + 1) * CHUNK <= below;
  for (const [field, value] of distinctTerms(texts(db).all(first, end))) {
    if (STAYING_FIELDS.has(field)) continue;
    const places = isWhole ? undefined : placesIn(db).get(field, value, chunk);
    const left = places ? placesFrom(places, end - chunk * CHUNK) : [];
    if (left.length > 0) writePlaces(db).run(encodePlaces(left), field, value, chunk);
    else removeTerm(db).run(field, value, chunk);
  }
}

function placesFrom(row: Buffer, least: number): number[] {
  const bits = noPlaces();
  addPlaces(bits, row);
  return placesOf(bits).filter((place) => place >= least);
}

function distinctTerms(entries: readonly string[]): Term[] {
  const found = new Map<string, Term>();
  for (const text of entries)
    for (const term of termsOf(text)) found.set(`${term[0]} ${term[1]}`, term);
  return [...found.values()];
}
