-- Prunings of the log (C2SP tlog-tiles). The greatest `before` is the log's minimum index: entries below it are in archives, and
-- are taken out of this database in steps. Hash tiles stay, and with them every proof. Written with the entry log.pruned.
CREATE TABLE prunings (
  before      INTEGER PRIMARY KEY,
  -- The minimum index before it: the archive holds the entries first to before - 1.
  first       INTEGER NOT NULL,
  -- The export that made the archive, its digest (hex) and its length.
  export_id   TEXT NOT NULL UNIQUE,
  sha256      TEXT NOT NULL,
  bytes       INTEGER NOT NULL,
  -- Entries of the log, by the checkpoint in the archive.
  size        INTEGER NOT NULL,
  archived_by TEXT NOT NULL REFERENCES people (id),
  archived_at INTEGER NOT NULL,
  by          TEXT NOT NULL REFERENCES people (id),
  at          INTEGER NOT NULL,
  -- Index of the entry log.pruned.
  entry       INTEGER NOT NULL,
  CHECK (first < before AND before <= size AND before % 256 = 0)
) STRICT;
CREATE TRIGGER prunings_are_never_changed BEFORE UPDATE ON prunings
  BEGIN SELECT RAISE(ABORT, 'prunings are never changed'); END;
CREATE TRIGGER prunings_are_never_removed BEFORE DELETE ON prunings
  BEGIN SELECT RAISE(ABORT, 'prunings are never removed'); END;

DROP TRIGGER entries_are_never_removed;
CREATE TRIGGER entries_are_removed_only_where_pruned BEFORE DELETE ON entries
  WHEN OLD.idx >= (SELECT ifnull(max(before), 0) FROM prunings)
  BEGIN SELECT RAISE(ABORT, 'audit entries are never removed before they are pruned'); END;
