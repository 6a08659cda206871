-- What the broker has to do at a moment by itself: an order that lapses, a review that falls due. The row goes when
-- it has been done, in the same transaction.
CREATE TABLE agenda (
  at   INTEGER NOT NULL,
  kind TEXT NOT NULL,
  ref  TEXT NOT NULL,
  PRIMARY KEY (kind, ref, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX agenda_by_time ON agenda (at);

-- What somebody is told: a row for each lab or person that is concerned. Written in the transaction of what it tells.
CREATE TABLE notices (
  id        TEXT PRIMARY KEY,
  at        INTEGER NOT NULL,
  kind      TEXT NOT NULL,
  ref       TEXT NOT NULL,
  -- Whom it is addressed to: the people of a lab who answer for it, or one person of it.
  lab_id    TEXT NOT NULL REFERENCES labs (id),
  person_id TEXT REFERENCES people (id),
  title     TEXT NOT NULL,
  data      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_by_lab ON notices (lab_id, id);
CREATE INDEX notices_by_ref ON notices (ref, id);
