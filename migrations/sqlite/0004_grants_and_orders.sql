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
