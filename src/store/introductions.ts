/** Who could speak as somebody else, because they registered them or gave them a key: two accounts need not be two people. */
import type { Db } from './database.ts';
import { prepared } from './prepared.ts';
import { introductions } from './schema.ts';

/**
 * Notes that somebody registered or invited a person, gave them a key or roles, or registered the identity of a lab.
 *
 * @param subject the person, or the lab
 * @param at epoch milliseconds
 */
export function noteIntroduction(db: Db, subject: string, by: string, at: number): void {
  if (subject !== by)
    db.insert(introductions).values({ subject, by, at }).onConflictDoNothing().run();
}

const direct = prepared((db) =>
  db.$client
    .prepare<{ person: string }, string>(
      `SELECT DISTINCT by FROM introductions
       WHERE subject IN (:person, (SELECT lab_id FROM people WHERE id = :person)) AND by <> :person ORDER BY by`,
    )
    .pluck(),
);

/** Who introduced a person themselves, by id. */
export const introducersOf = (db: Db, person: string): string[] => direct(db).all({ person });

const through = prepared((db) =>
  db.$client
    .prepare<{ person: string; other: string }, number>(
      `WITH RECURSIVE before (id) AS (
         SELECT :person
         UNION
         SELECT i.by FROM before
           JOIN people AS p ON p.id = before.id
           JOIN introductions AS i ON i.subject IN (p.id, p.lab_id)
       )
       SELECT EXISTS (SELECT 1 FROM before WHERE id = :other)`,
    )
    .pluck(),
);

/** Whether somebody introduced a person, themselves or through others whom they introduced. */
export const isIntroducedBy = (db: Db, person: string, other: string): boolean =>
  through(db).get({ person, other }) === 1;

const newest = prepared((db) =>
  db.$client
    .prepare<{ person: string; before: number }, number>(
      `SELECT max(at) FROM (
         SELECT created_at AS at FROM people WHERE id = :person
         UNION ALL
         SELECT added_at FROM person_keys WHERE person_id = :person
         UNION ALL
         SELECT at FROM introductions
           WHERE subject IN (:person, (SELECT lab_id FROM people WHERE id = :person))
       ) WHERE at <= :before`,
    )
    .pluck(),
);

/**
 * When what a person acts with was last changed, as it was at a moment: their account, their keys (also those that were
 * removed), roles that others gave them, the identity of their lab. Epoch milliseconds.
 */
export const changedLast = (db: Db, person: string, before: number): number =>
  newest(db).get({ person, before }) ?? 0;
