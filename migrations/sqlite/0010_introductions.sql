-- Who could speak as somebody: whoever registered or invited them, gave them a key or roles, or registered the identity of their
-- lab (then `subject` is the lab). Kept for as long as the database is: the entries of it are pruned one day, and whoever prunes
-- is held against it. Written with those entries; nobody introduces themselves.
CREATE TABLE introductions (
  subject TEXT NOT NULL,
  by      TEXT NOT NULL REFERENCES people (id),
  at      INTEGER NOT NULL,
  PRIMARY KEY (subject, by, at)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER introductions_are_never_changed BEFORE UPDATE ON introductions
  BEGIN SELECT RAISE(ABORT, 'introductions are never changed'); END;
CREATE TRIGGER introductions_are_never_removed BEFORE DELETE ON introductions
  BEGIN SELECT RAISE(ABORT, 'introductions are never removed'); END;

INSERT OR IGNORE INTO introductions
  SELECT joined_as, invited_by, ended_at FROM invitations WHERE joined_as IS NOT NULL;
-- Of the others, what the log still has. Of each whole 256 entries, entries_by_ref leads there.
INSERT OR IGNORE INTO introductions
  SELECT ref, by, at FROM (
    SELECT e.ref AS ref, json_extract(CAST(e.bytes AS TEXT), '$.actor.person') AS by,
      CAST(round((julianday(json_extract(CAST(e.bytes AS TEXT), '$.at')) - 2440587.5) * 86400000) AS INTEGER) AS at
    FROM entries AS e
    WHERE e.kind IN ('person.created', 'person.key_added', 'person.roles_set', 'lab.identity_set')
      AND (e.idx IN (SELECT idx FROM entries_by_ref WHERE ref IN (SELECT id FROM people UNION ALL SELECT id FROM labs))
        OR e.idx >= (SELECT ifnull(max(idx) + 1, 0) / 256 * 256 FROM entries))
  ) WHERE ref IS NOT NULL AND by IN (SELECT id FROM people) AND by <> ref;
