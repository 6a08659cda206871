-- The keys that have signed checkpoints. The first row is written when a log begins, or when it is first opened by this
-- version. The private halves are files.
CREATE TABLE log_keys (
  verifier_key TEXT PRIMARY KEY,
  -- Of the private half, in the folder of keys.
  file         TEXT NOT NULL,
  -- It signs for checkpoints larger than this; -1: from the first on.
  after        INTEGER NOT NULL UNIQUE,
  at           INTEGER NOT NULL,
  -- The note by which the key before gave way to it, signed by both; null: it is the first.
  step         TEXT,
  -- A key that was replaced goes on signing beside the new one until then, for those who do not know that one yet.
  signs_until  INTEGER
) STRICT, WITHOUT ROWID;

-- What witnesses signed of our checkpoints: found good before it is stored.
CREATE TABLE cosignatures (
  size        INTEGER NOT NULL REFERENCES checkpoints (size),
  witness_key TEXT NOT NULL,
  -- The line of the note, as it came.
  line        TEXT NOT NULL,
  -- When the witness says that it signed, and when we had it.
  signed_at   INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (size, witness_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX cosignatures_by_witness ON cosignatures (witness_key, size);

-- Logs of others that we are a witness of: the largest checkpoint of each that we cosigned. It never gets smaller.
CREATE TABLE watched_logs (
  origin      TEXT PRIMARY KEY,
  size        INTEGER NOT NULL,
  root        BLOB NOT NULL,
  note        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  -- When our log last had an entry about it.
  recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Checkpoints that those logs signed and we were shown: the first of each size, the newest thousand of each log. Another
-- root at one of these sizes proves a split view, whichever of the two was cosigned.
CREATE TABLE shown_checkpoints (
  origin      TEXT NOT NULL,
  size        INTEGER NOT NULL,
  root        BLOB NOT NULL,
  note        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  is_cosigned INTEGER NOT NULL,
  -- When an entry of our log said that it was refused.
  refused_at  INTEGER,
  PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;
CREATE INDEX shown_checkpoints_by_time ON shown_checkpoints (origin, at);
CREATE INDEX shown_checkpoints_refused ON shown_checkpoints (origin, refused_at) WHERE refused_at IS NOT NULL;

-- Two checkpoints of one log that do not agree, with what proves it. They stay.
CREATE TABLE split_views (
  id        TEXT PRIMARY KEY,
  origin    TEXT NOT NULL,
  at        INTEGER NOT NULL,
  -- proven: checkable with the log's key alone; unproven: our log signed for more entries than it has.
  kind      TEXT NOT NULL,
  -- Who showed it: witness (we were asked to cosign it), handed_in.
  source    TEXT NOT NULL,
  lab_id    TEXT REFERENCES labs (id),
  older     TEXT NOT NULL,
  newer     TEXT NOT NULL,
  past_root BLOB,
  proof     TEXT,
  -- Of both texts: the same two are kept once.
  pair      TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE INDEX split_views_by_origin ON split_views (origin, id);
