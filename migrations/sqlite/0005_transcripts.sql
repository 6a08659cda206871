-- Destructions of transcripts that are on record: what is not finished is gone on with, whatever happened meanwhile.
-- The bodies themselves are in a database of their own (migrations/transcripts).
CREATE TABLE transcript_destructions (
  id            TEXT PRIMARY KEY,
  grant_id      TEXT NOT NULL REFERENCES grants (id),
  -- What was written, or is due to be destroyed, at these moments or before; NULL: whenever. Epoch milliseconds.
  written_until INTEGER,
  due_until     INTEGER,
  -- Requests whose transcripts stay, as a JSON array.
  held          TEXT NOT NULL,
  begun_at      INTEGER NOT NULL,
  finished_at   INTEGER
);
CREATE INDEX transcript_destructions_unfinished ON transcript_destructions (begun_at) WHERE finished_at IS NULL;
