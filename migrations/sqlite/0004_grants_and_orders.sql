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

-- Who has said that they took note of a notice: each person for themselves.
CREATE TABLE notice_acknowledgements (
  notice_id TEXT    NOT NULL REFERENCES notices (id),
  person_id TEXT    NOT NULL REFERENCES people (id),
  at        INTEGER NOT NULL,
  PRIMARY KEY (notice_id, person_id)
) STRICT, WITHOUT ROWID;

-- The outbox: a row for each notice and each channel of the configuration that it goes out through, written in the
-- transaction of the notice.
CREATE TABLE deliveries (
  id         TEXT    PRIMARY KEY,
  notice_id  TEXT    NOT NULL REFERENCES notices (id),
  -- Its id in the configuration.
  channel    TEXT    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
  -- Since it was written, or replayed.
  attempts   INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- When it is tried next; null unless pending.
  next_at    INTEGER,
  -- When it was delivered, or given up.
  ended_at   INTEGER,
  -- Of the last attempt that failed: our word for it, and the other side's status, if it gave one.
  failure    TEXT,
  status     INTEGER,
  failed_at  INTEGER,
  UNIQUE (notice_id, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_pending ON deliveries (channel, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_state ON deliveries (state, id);
