-- A lab's own identities: its issuer and public keys, inline or by URL. JSON, as core/people.ts parses it.
ALTER TABLE labs ADD COLUMN identity TEXT;
CREATE UNIQUE INDEX labs_by_issuer ON labs (json_extract(identity, '$.issuer')) WHERE identity IS NOT NULL;

-- What a person's own lab calls them, in the assertions that it signs.
ALTER TABLE people ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX people_by_subject ON people (lab_id, subject) WHERE subject IS NOT NULL AND removed_at IS NULL;

-- The link's secret is known by its digest only. joined_as is set when it was used; ended_at when it was
-- used or withdrawn: either way it opens nothing any more. withdrawn_because is the code of what took it
-- along: its sender was removed or left, or its grant ended.
CREATE TABLE invitations (
  id            TEXT PRIMARY KEY,
  lab_id        TEXT NOT NULL REFERENCES labs (id),
  name          TEXT NOT NULL,
  roles         TEXT NOT NULL,
  attributes    TEXT NOT NULL,
  subject       TEXT,
  grant_id      TEXT REFERENCES grants (id),
  roster_until  INTEGER,
  secret_digest TEXT NOT NULL,
  invited_by    TEXT NOT NULL REFERENCES people (id),
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  joined_as     TEXT REFERENCES people (id),
  ended_at      INTEGER,
  withdrawn_because TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_lab ON invitations (lab_id, id);
CREATE INDEX invitations_open_by_grant ON invitations (grant_id) WHERE ended_at IS NULL AND grant_id IS NOT NULL;
CREATE INDEX invitations_open_by_sender ON invitations (invited_by) WHERE ended_at IS NULL;

-- People whom the lead added to a grant within its cap, beside those that its text names.
CREATE TABLE grant_joiners (
  grant_id  TEXT NOT NULL REFERENCES grants (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  until     INTEGER,
  added_by  TEXT NOT NULL REFERENCES people (id),
  added_at  INTEGER NOT NULL,
  PRIMARY KEY (grant_id, person_id)
) STRICT, WITHOUT ROWID;

-- People who handed their place on a grant back.
CREATE TABLE grant_leavers (
  grant_id  TEXT NOT NULL REFERENCES grants (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  left_at   INTEGER NOT NULL,
  PRIMARY KEY (grant_id, person_id)
) STRICT, WITHOUT ROWID;

-- A run that was handed back takes no token any more.
ALTER TABLE runs ADD COLUMN ended_at INTEGER;
-- When a token of it was last presented.
ALTER TABLE runs ADD COLUMN last_used_at INTEGER;
CREATE INDEX runs_by_grant ON runs (grant_id, id);

-- kid is the key that the caller proved to hold: the person's own, or their lab's.
ALTER TABLE tokens ADD COLUMN vouched_by TEXT NOT NULL DEFAULT 'person' CHECK (vouched_by IN ('person', 'lab'));
-- RFC 7638 thumbprint of the key that the token is bound to (RFC 9449).
ALTER TABLE tokens ADD COLUMN jkt TEXT;
-- What the holder gave up of the grant. JSON.
ALTER TABLE tokens ADD COLUMN narrowing TEXT;
-- Our key that signed it. Null only in tokens from before keys were kept count of.
ALTER TABLE tokens ADD COLUMN signing_kid TEXT;
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;
CREATE INDEX tokens_by_run ON tokens (run_id, id) WHERE run_id IS NOT NULL;
CREATE INDEX tokens_by_lab ON tokens (lab_id, id);
CREATE INDEX tokens_by_key ON tokens (kid, id);
-- The runs that somebody takes part in, and the last use of their part, without reading their tokens.
CREATE INDEX tokens_by_person_run ON tokens (person_id, run_id, last_used_at) WHERE run_id IS NOT NULL;

-- Proofs of possession that were used, until they would be refused for their age (RFC 9449, section 11.1).
CREATE TABLE used_proofs (
  jkt        TEXT NOT NULL,
  jti        TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (jkt, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_proofs_by_expiry ON used_proofs (expires_at);

-- The keys that sign tokens: public halves. Private halves are files in the data directory.
CREATE TABLE signing_keys (
  kid          TEXT PRIMARY KEY,
  x            TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired')),
  created_at   INTEGER NOT NULL,
  -- When a next key takes over.
  activates_at INTEGER,
  activated_at INTEGER,
  -- When it stopped signing.
  replaced_at  INTEGER,
  retired_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'next';
