-- What each call left in the log, by person, run and UTC day: a partner's statement of a day comes out of it without
-- reading the entries. It follows the log like the other indexes (src/store/call-index.ts).
CREATE TABLE entries_of_calls (
  person_id     TEXT NOT NULL,
  -- '' where there is none.
  run_id        TEXT NOT NULL,
  -- Days from 1970-01-01 to the day on which the log took the entry in.
  day           INTEGER NOT NULL,
  idx           INTEGER NOT NULL,
  -- 0 intent, 1 outcome, 2 refusal, 3 answered by the broker itself, 4 refusals that were counted together.
  kind          INTEGER NOT NULL,
  -- How many calls it stands for: more than 1 for what was counted together.
  calls         INTEGER NOT NULL,
  -- Of an outcome: as the upstream reported them or the broker estimated them.
  input_tokens  INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  PRIMARY KEY (person_id, run_id, day, idx)
) STRICT, WITHOUT ROWID;
INSERT INTO entries_of_calls
  SELECT
    person_id,
    ifnull(json_extract(text, '$.run'), ''),
    unixepoch(json_extract(text, '$.committedAt')) / 86400,
    idx,
    CASE kind WHEN 'request.intent' THEN 0 WHEN 'request.outcome' THEN 1 WHEN 'request.denied' THEN 2
      WHEN 'request.answered' THEN 3 ELSE 4 END,
    CASE kind WHEN 'request.denied_repeatedly'
      THEN (SELECT ifnull(sum(value), 0) FROM json_each(text, '$.data.counts')) ELSE 1 END,
    ifnull(json_extract(text, '$.data.usage.inputTokens'), 0),
    ifnull(json_extract(text, '$.data.usage.outputTokens'), 0)
  FROM (
    SELECT idx, kind, person_id, CAST(bytes AS TEXT) AS text FROM entries
    -- Of each whole 256 entries.
    WHERE idx < (SELECT ifnull(max(idx) + 1, 0) / 256 * 256 FROM entries) AND person_id IS NOT NULL
      AND kind IN ('request.intent', 'request.outcome', 'request.denied', 'request.answered', 'request.denied_repeatedly')
  )
  ORDER BY 1, 2, 3, 4;
