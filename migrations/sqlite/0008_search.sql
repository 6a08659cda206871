-- Searching the log. What entries are found by is gathered for 4,096 of them at a time (src/store/search-index.ts):
-- for each term (a field and a value of it) one row says where in the chunk its entries stand, as a list of
-- 16-bit numbers, or as 4,096 bits where that is shorter.
CREATE TABLE entry_terms (
  field  TEXT NOT NULL,
  value  TEXT NOT NULL,
  chunk  INTEGER NOT NULL,
  places BLOB NOT NULL,
  PRIMARY KEY (field, value, chunk)
) STRICT, WITHOUT ROWID;

-- Which chunks are indexed, from 0 on without gaps, and between which times (epoch milliseconds) the log took their entries: a
-- clock can be set back. `times`: the same two of each 256 entries, as 64-bit floating point numbers.
CREATE TABLE entry_chunks (
  chunk    INTEGER PRIMARY KEY,
  least    INTEGER NOT NULL,
  greatest INTEGER NOT NULL,
  times    BLOB NOT NULL
) STRICT;

-- entries_by_kind, entries_by_lab, entries_by_person and entries_by_grant are of no use any more. They are emptied and
-- dropped in steps while the broker runs (src/store/old-indexes.ts): at once, a long log would hold up the start.

-- How far the log has been forwarded, by the receiver's id in the configuration: every entry below `next` has arrived, or is
-- not for it. One that is taken out of the configuration goes on there when it is put back.
CREATE TABLE forward_cursors (
  receiver   TEXT PRIMARY KEY,
  next       INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
