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

-- Limits per minute are loaded from the requests of the last minute, whatever their grant. An index that covers the
-- sums has to be written three times for each request.
DROP INDEX requests_by_grant_time;
CREATE INDEX requests_by_time ON requests (admitted_at);

-- What an intent says stands in its entry of the log, from which an open request is read after a crash.
ALTER TABLE requests DROP COLUMN intent;
