-- Times are epoch milliseconds. Identifiers are minted by the broker. JSON columns hold what core/ parsed.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE labs (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('host', 'partner', 'auditor')),
  name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX labs_one_host ON labs (kind) WHERE kind = 'host';

CREATE TABLE people (
  id         TEXT PRIMARY KEY,
  lab_id     TEXT NOT NULL REFERENCES labs (id),
  name       TEXT NOT NULL,
  roles      TEXT NOT NULL,
  attributes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  removed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX people_by_lab ON people (lab_id, id);

-- A key belongs to one person for ever, also after its removal: nobody else can register it again.
CREATE TABLE person_keys (
  kid        TEXT PRIMARY KEY,
  person_id  TEXT NOT NULL REFERENCES people (id),
  x          TEXT NOT NULL,
  added_at   INTEGER NOT NULL,
  removed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX person_keys_by_person ON person_keys (person_id);

CREATE TABLE grants (
  id                  TEXT PRIMARY KEY,
  lab_id              TEXT NOT NULL REFERENCES labs (id),
  state               TEXT NOT NULL,
  version             INTEGER NOT NULL,
  accepted_for_lab_by TEXT REFERENCES people (id),
  created_at          INTEGER NOT NULL,
  updated_at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_lab ON grants (lab_id, id);

CREATE TABLE grant_versions (
  grant_id     TEXT NOT NULL REFERENCES grants (id),
  version      INTEGER NOT NULL,
  author_id    TEXT NOT NULL REFERENCES people (id),
  spec         TEXT NOT NULL,
  terms_digest TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  PRIMARY KEY (grant_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE grant_approvals (
  grant_id    TEXT NOT NULL REFERENCES grants (id),
  version     INTEGER NOT NULL,
  approved_as TEXT NOT NULL,
  person_id   TEXT NOT NULL REFERENCES people (id),
  at          INTEGER NOT NULL,
  PRIMARY KEY (grant_id, version, approved_as),
  UNIQUE (grant_id, version, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE grant_acceptances (
  grant_id     TEXT NOT NULL REFERENCES grants (id),
  terms_digest TEXT NOT NULL,
  person_id    TEXT NOT NULL REFERENCES people (id),
  at           INTEGER NOT NULL,
  PRIMARY KEY (grant_id, terms_digest, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  id         TEXT PRIMARY KEY,
  grant_id   TEXT NOT NULL REFERENCES grants (id),
  purpose    TEXT NOT NULL,
  name       TEXT NOT NULL,
  person_id  TEXT NOT NULL REFERENCES people (id),
  created_at INTEGER NOT NULL,
  UNIQUE (grant_id, purpose, name)
) STRICT, WITHOUT ROWID;

-- Tokens are known by id; the token itself is never stored.
CREATE TABLE tokens (
  id            TEXT PRIMARY KEY,
  audience      TEXT NOT NULL CHECK (audience IN ('gateway', 'control')),
  person_id     TEXT NOT NULL REFERENCES people (id),
  lab_id        TEXT NOT NULL REFERENCES labs (id),
  kid           TEXT NOT NULL,
  grant_id      TEXT REFERENCES grants (id),
  grant_version INTEGER,
  purpose       TEXT,
  run_id        TEXT REFERENCES runs (id),
  issued_at     INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  revoked_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_expiry ON tokens (expires_at);
CREATE INDEX tokens_by_person ON tokens (person_id, id);
CREATE INDEX tokens_by_grant ON tokens (grant_id, id);

-- Client assertions that were used, until they have expired (RFC 7523: jti is single use).
CREATE TABLE used_assertions (
  issuer     TEXT NOT NULL,
  jti        TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

CREATE TABLE orders (
  id          TEXT PRIMARY KEY,
  spec        TEXT NOT NULL,
  issued_by   TEXT NOT NULL REFERENCES people (id),
  issued_at   INTEGER NOT NULL,
  lifted_by   TEXT REFERENCES people (id),
  lifted_at   INTEGER,
  lift_grounds TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_in_force ON orders (id) WHERE lifted_at IS NULL;

-- The usage ledger: a row per admitted request, and sums per grant and per person under a grant.
CREATE TABLE requests (
  id                  TEXT PRIMARY KEY,
  grant_id            TEXT NOT NULL REFERENCES grants (id),
  person_id           TEXT NOT NULL REFERENCES people (id),
  token_id            TEXT NOT NULL,
  state               TEXT NOT NULL CHECK (state IN ('open', 'settled', 'unknown')),
  admitted_at         INTEGER NOT NULL,
  settled_at          INTEGER,
  requests            INTEGER NOT NULL,
  tokens_reserved     INTEGER NOT NULL,
  spend_reserved_nano INTEGER NOT NULL,
  tokens_charged      INTEGER NOT NULL,
  spend_charged_nano  INTEGER NOT NULL,
  intent              TEXT NOT NULL,
  -- Salt of the commitments in the request's entries. Destroying it leaves every proof valid.
  salt                BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- Covers what the trailing windows are loaded from.
CREATE INDEX requests_by_grant_time ON requests (grant_id, admitted_at, person_id, requests, tokens_charged);
CREATE INDEX requests_open ON requests (id) WHERE state = 'open';

-- person_id '' is the grant as a whole.
CREATE TABLE charges (
  grant_id            TEXT NOT NULL REFERENCES grants (id),
  person_id           TEXT NOT NULL,
  requests_settled    INTEGER NOT NULL,
  requests_reserved   INTEGER NOT NULL,
  tokens_settled      INTEGER NOT NULL,
  tokens_reserved     INTEGER NOT NULL,
  spend_settled_nano  INTEGER NOT NULL,
  spend_reserved_nano INTEGER NOT NULL,
  PRIMARY KEY (grant_id, person_id)
) STRICT, WITHOUT ROWID;

-- The audit log. Entries are never changed; the triggers make a slip of the code an error.
CREATE TABLE entries (
  idx       INTEGER PRIMARY KEY,
  id        TEXT NOT NULL UNIQUE,
  kind      TEXT NOT NULL,
  ref       TEXT,
  lab_id    TEXT,
  person_id TEXT,
  grant_id  TEXT,
  leaf      BLOB NOT NULL,
  bytes     BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_ref ON entries (ref, idx) WHERE ref IS NOT NULL;
CREATE INDEX entries_by_kind ON entries (kind, idx);
CREATE INDEX entries_by_lab ON entries (lab_id, idx);
CREATE INDEX entries_by_person ON entries (person_id, idx);
CREATE INDEX entries_by_grant ON entries (grant_id, idx);
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER entries_are_never_removed BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END;

-- Hash tiles of the tree (C2SP tlog-tiles); the last of each level grows until it has 256 hashes.
CREATE TABLE tiles (
  level  INTEGER NOT NULL,
  n      INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  note TEXT NOT NULL,
  at   INTEGER NOT NULL
) STRICT;
CREATE TRIGGER checkpoints_are_never_changed BEFORE UPDATE ON checkpoints
  BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
CREATE TRIGGER checkpoints_are_never_removed BEFORE DELETE ON checkpoints
  BEGIN SELECT RAISE(ABORT, 'checkpoints are never removed'); END;
