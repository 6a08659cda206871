-- The database of transcripts, beside that of the log: bodies come and are destroyed without touching what proves them.

-- A file: what is stored of one body, or of several sealed together. Its bytes are never changed.
CREATE TABLE files (
  id            INTEGER PRIMARY KEY,
  -- SHA-256 of its bytes; NULL as long as it is written to.
  digest        BLOB,
  length        INTEGER NOT NULL,
  mode          TEXT NOT NULL CHECK (mode IN ('sealed', 'full')),
  -- Ids of those that it is sealed to, as a JSON array.
  recipients    TEXT NOT NULL,
  grant_id      TEXT NOT NULL,
  grant_version INTEGER NOT NULL,
  -- Epoch milliseconds. Destroyed at the latest at destroy_at, by the version of the grant that it was written under.
  at            INTEGER NOT NULL,
  destroy_at    INTEGER NOT NULL,
  -- cut: the broker died while it was written to.
  state         TEXT NOT NULL CHECK (state IN ('open', 'whole', 'cut'))
);
CREATE INDEX files_by_grant ON files (grant_id, at);
CREATE INDEX files_by_destruction ON files (grant_id, destroy_at);
CREATE INDEX files_open ON files (id) WHERE state = 'open';

-- The bytes of a file, in order: the id is that of the file times 2^20, plus the number of the chunk.
CREATE TABLE chunks (
  id    INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
);

-- In which file the body of a request is, or of its answer.
CREATE TABLE bodies (
  request TEXT NOT NULL,
  part    TEXT NOT NULL CHECK (part IN ('request', 'response')),
  file    INTEGER NOT NULL REFERENCES files (id),
  PRIMARY KEY (request, part)
) WITHOUT ROWID;
CREATE INDEX bodies_by_file ON bodies (file);

-- Up to which generation of the journal beside it this database holds everything.
CREATE TABLE journal (generation INTEGER NOT NULL);
INSERT INTO journal (generation) VALUES (0);
