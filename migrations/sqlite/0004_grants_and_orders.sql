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

-- Orders of every level, and how they end. Those of older versions suspend, as they did, until somebody lifts them.
ALTER TABLE orders RENAME TO orders_before;
DROP INDEX orders_in_force;
CREATE TABLE orders (
  id                TEXT PRIMARY KEY,
  spec              TEXT NOT NULL,
  issued_by         TEXT NOT NULL REFERENCES people (id),
  issued_by_lab     TEXT NOT NULL REFERENCES labs (id),
  issued_at         INTEGER NOT NULL,
  ratified_by       TEXT REFERENCES people (id),
  ratified_at       INTEGER,
  lapses_at         INTEGER,
  review_due_at     INTEGER,
  lapses_unreviewed INTEGER NOT NULL,
  replaces          TEXT REFERENCES orders (id),
  lowered_by        TEXT REFERENCES people (id),
  ended_at          INTEGER,
  ended_by          TEXT REFERENCES people (id),
  ended_because     TEXT,
  end_grounds       TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO orders
  SELECT
    orders_before.id,
    json_object(
      'level', 4,
      'selector', json_extract(spec, '$.selector'),
      'measures', json('{}'),
      'grounds', json_extract(spec, '$.grounds'),
      'authority', json_object('kind', 'officer', 'text', json_extract(spec, '$.authority')),
      'evidence', iif(
        json_extract(spec, '$.evidence') IS NULL,
        NULL,
        json_object('class', 'reported', 'text', json_extract(spec, '$.evidence'))
      )
    ),
    issued_by, people.lab_id, issued_at, NULL, NULL, NULL, NULL, 0, NULL, NULL,
    lifted_at, lifted_by, iif(lifted_at IS NULL, NULL, 'lifted'), lift_grounds
  FROM orders_before JOIN people ON people.id = issued_by;
UPDATE orders SET spec = json_remove(spec, '$.evidence') WHERE json_type(spec, '$.evidence') = 'null';
DROP TABLE orders_before;
CREATE INDEX orders_in_force ON orders (id) WHERE ended_at IS NULL;

-- Who has taken notice of an order; whoever objects complies all the same.
CREATE TABLE order_acknowledgements (
  order_id        TEXT NOT NULL REFERENCES orders (id),
  person_id       TEXT NOT NULL REFERENCES people (id),
  lab_id          TEXT NOT NULL REFERENCES labs (id),
  at              INTEGER NOT NULL,
  under_objection INTEGER NOT NULL,
  PRIMARY KEY (order_id, person_id)
) STRICT, WITHOUT ROWID;

-- Objections to an order. Its effect goes on until they are decided.
CREATE TABLE disputes (
  id               TEXT PRIMARY KEY,
  order_id         TEXT NOT NULL REFERENCES orders (id),
  lab_id           TEXT NOT NULL REFERENCES labs (id),
  person_id        TEXT NOT NULL REFERENCES people (id),
  at               INTEGER NOT NULL,
  grounds          TEXT NOT NULL,
  -- The measure that is proposed in place of the order; NULL: none.
  alternative      TEXT,
  due_at           INTEGER NOT NULL,
  escalated_at     INTEGER,
  outcome          TEXT,
  decided_by       TEXT REFERENCES people (id),
  decided_at       INTEGER,
  decision_grounds TEXT,
  -- The order that took the place of the one that was objected to.
  new_order_id     TEXT REFERENCES orders (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX disputes_by_order ON disputes (order_id, id);
CREATE INDEX disputes_by_due ON disputes (due_at, id);
CREATE INDEX disputes_open ON disputes (due_at) WHERE decided_at IS NULL;

-- What grants of older versions say of orders: nothing.
UPDATE grant_versions SET spec = json_set(spec, '$.orderRules', json('{}'), '$.recordNetwork', json('false'));
-- Versions of grants. A text in force stands while the version that is to follow it is under way.
-- `proposed_state`: draft, submitted, returned, or approved, where the lead has yet to accept new terms.
ALTER TABLE grants ADD COLUMN proposed_version INTEGER;
ALTER TABLE grants ADD COLUMN proposed_state TEXT;

-- `chain`: the version with which the text began that this one is an amendment of; whoever wrote one of a chain is an
-- author. `narrows`: it only narrows the one before it, so whoever made it is no author. `rests_on`: the version whose
-- approvals it stands on, where that is another. `approvals_needed`: roles, frozen when it was submitted.
ALTER TABLE grant_versions ADD COLUMN chain INTEGER NOT NULL DEFAULT 1;
ALTER TABLE grant_versions ADD COLUMN narrows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grant_versions ADD COLUMN rests_on INTEGER;
ALTER TABLE grant_versions ADD COLUMN approvals_needed TEXT;
UPDATE grant_versions SET approvals_needed = '["admin","safety"]'
  WHERE grant_id NOT IN (SELECT id FROM grants WHERE state IN ('draft', 'returned'));
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
-- What was delivered is looked for by its end each minute, to be forgotten.
CREATE INDEX deliveries_by_end ON deliveries (state, ended_at);

-- Attributes of people that end: their names, and when. Whatever has ended is taken out of `attributes`, on record.
ALTER TABLE people ADD COLUMN attributes_until TEXT NOT NULL DEFAULT '{}';

-- What grants of older versions ask of people, of the host and of their end: nothing.
UPDATE grant_versions SET spec =
  json_set(spec, '$.requires', json('[]'), '$.review', json('null'), '$.duties', json('[]'));

-- `review_due_at`: from then on the grant is suspended, until it is reviewed. `ended_at`: when it was put on record that it
-- is over. The agenda puts the end of those on record whose window closes.
ALTER TABLE grants ADD COLUMN review_due_at INTEGER;
ALTER TABLE grants ADD COLUMN ended_at INTEGER;
UPDATE grants SET ended_at = updated_at WHERE state IN ('revoked', 'closed');
INSERT INTO agenda (at, kind, ref)
  -- A second more: the fraction is cut off, and nothing is to be looked at before its time.
  SELECT (unixepoch(json_extract(spec, '$.window.until')) + 1) * 1000, 'grant', grants.id
  FROM grants JOIN grant_versions ON grant_id = grants.id AND grant_versions.version = grants.version
  WHERE state = 'active';

-- People whom the lead took off the roster of a grant. The row goes when they are put back.
CREATE TABLE grant_taken_off (
  grant_id  TEXT    NOT NULL REFERENCES grants (id),
  person_id TEXT    NOT NULL REFERENCES people (id),
  by        TEXT    NOT NULL REFERENCES people (id),
  at        INTEGER NOT NULL,
  PRIMARY KEY (grant_id, person_id)
) STRICT, WITHOUT ROWID;

-- What is to be done once a grant, or the access of one person under it, has ended.
CREATE TABLE duties (
  id               TEXT    PRIMARY KEY,
  grant_id         TEXT    NOT NULL REFERENCES grants (id),
  lab_id           TEXT    NOT NULL REFERENCES labs (id),
  -- Whose access ended; NULL: the whole grant.
  person_id        TEXT    REFERENCES people (id),
  kind             TEXT    NOT NULL,
  text             TEXT    NOT NULL,
  cause            TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('open', 'reported', 'done')),
  begun_at         INTEGER NOT NULL,
  due_at           INTEGER NOT NULL,
  reported_by      TEXT    REFERENCES people (id),
  reported_at      INTEGER,
  statement        TEXT,
  -- SHA-256 of a document that stays with whoever reported it, hex.
  document_digest  TEXT,
  confirmed_by     TEXT    REFERENCES people (id),
  confirmed_at     INTEGER,
  return_grounds   TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX duties_by_grant ON duties (grant_id, id);
CREATE INDEX duties_by_lab ON duties (lab_id, id);
-- Incidents. `record` is all of it; what lists are searched by stands beside it, and changes with it.
CREATE TABLE incidents (
  id          TEXT PRIMARY KEY,
  state       TEXT NOT NULL CHECK (state IN ('open', 'reported', 'resolved', 'closed')),
  -- When the next report is due, or was; NULL: none is.
  next_due_at INTEGER,
  record      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incidents_by_state ON incidents (state, id);
CREATE INDEX incidents_by_due ON incidents (next_due_at) WHERE next_due_at IS NOT NULL;

-- How often an order was changed since it was issued: a part of what `If-Match` is held against.
ALTER TABLE orders ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
UPDATE orders SET changes = 1 WHERE ended_at IS NOT NULL;
-- Which part of two whoever issued it has, as their roles were then.
ALTER TABLE orders ADD COLUMN issued_as TEXT NOT NULL DEFAULT 'issuer' CHECK (issued_as IN ('issuer', 'ratifier'));

-- What fails is tried again, later each time, and holds up nothing else.
ALTER TABLE agenda ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agenda ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;

-- Who gave somebody the value of an attribute, and when, by its name. Until now nothing but joining or being registered
-- gave any: by an invitation it was whoever invited them.
ALTER TABLE people ADD COLUMN attributes_set TEXT NOT NULL DEFAULT '{}';
UPDATE people SET attributes_set = (
  SELECT json_group_object(key, json_object('at', created_at, 'by', coalesce(
    (SELECT invited_by FROM invitations WHERE joined_as = people.id),
    (SELECT json_extract(CAST(bytes AS TEXT), '$.actor.person') FROM entries
      WHERE person_id = people.id AND kind = 'person.created'))))
  FROM json_each(attributes)
) WHERE attributes <> '{}';

-- The labs that were told of an order: they hear of its end, and may go on looking at it.
CREATE TABLE orders_told (
  order_id TEXT NOT NULL REFERENCES orders (id),
  lab_id   TEXT NOT NULL REFERENCES labs (id),
  PRIMARY KEY (order_id, lab_id)
) STRICT, WITHOUT ROWID;
