-- What a grant and each person under it used, by the minute (epoch milliseconds / 60,000) in which a request was
-- admitted: what daily budgets are loaded from, in at most 1,440 rows for each person.
CREATE TABLE usage_minutes (
  grant_id  TEXT NOT NULL REFERENCES grants (id),
  minute    INTEGER NOT NULL,
  person_id TEXT NOT NULL REFERENCES people (id),
  requests  INTEGER NOT NULL,
  tokens    INTEGER NOT NULL,
  PRIMARY KEY (grant_id, minute, person_id)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_minutes
  SELECT grant_id, admitted_at / 60000, person_id, sum(requests), sum(tokens_charged)
  FROM requests GROUP BY 1, 2, 3;

-- Limits per minute are loaded from the newest ids, which begin with the time. An index that covers the sums has to
-- be written three times for each request.
DROP INDEX requests_by_grant_time;

-- What an intent says stands in its entry of the log, from which an open request is read after a crash.
ALTER TABLE requests DROP COLUMN intent;

-- To write five indexes for every entry costs more than the entry. What leads to entries is written for 256 of them
-- at a time (src/store/entry-index.ts).
DROP INDEX entries_by_ref;
DROP INDEX entries_by_kind;
DROP INDEX entries_by_lab;
DROP INDEX entries_by_person;
DROP INDEX entries_by_grant;
CREATE TABLE entries_by_ref (ref TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (ref, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entries_by_kind (kind TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (kind, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entries_by_lab (lab_id TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (lab_id, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entries_by_person (person_id TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (person_id, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entries_by_grant (grant_id TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (grant_id, idx)) STRICT, WITHOUT ROWID;
-- Of each whole 256 entries.
CREATE TEMP VIEW entries_to_index AS
  SELECT * FROM main.entries WHERE idx < (SELECT ifnull(max(idx) + 1, 0) / 256 * 256 FROM main.entries);
INSERT INTO entries_by_ref SELECT ref, idx FROM entries_to_index WHERE ref IS NOT NULL ORDER BY 1, 2;
INSERT INTO entries_by_kind SELECT kind, idx FROM entries_to_index
  WHERE kind NOT IN ('request.intent', 'request.outcome') ORDER BY 1, 2;
INSERT INTO entries_by_lab SELECT lab_id, idx FROM entries_to_index WHERE lab_id IS NOT NULL ORDER BY 1, 2;
INSERT INTO entries_by_person SELECT person_id, idx FROM entries_to_index WHERE person_id IS NOT NULL ORDER BY 1, 2;
INSERT INTO entries_by_grant SELECT grant_id, idx FROM entries_to_index WHERE grant_id IS NOT NULL ORDER BY 1, 2;
DROP VIEW entries_to_index;
