-- What each call left in the log, by person, run and UTC day: a partner's statement of a day comes out of it without
-- reading the entries. It follows the log in steps of 256 entries, in the log's order: ordered by people, each step would be
-- written all over the table (src/store/call-index.ts).
CREATE TABLE calls_of_steps (
  step      INTEGER NOT NULL,
  person_id TEXT NOT NULL,
  -- '' where there is none.
  run_id    TEXT NOT NULL,
  -- Days from 1970-01-01 to the day on which the log took the entries in.
  day       INTEGER NOT NULL,
  -- JSON, for each entry: its place in the step; 0 intent, 1 outcome, 2 refusal, 3 answered by the broker itself, 4 refusals
  -- that were counted together; and unless they are 1, 0 and 0, how many calls it stands for and the tokens in and out.
  entries   TEXT NOT NULL,
  PRIMARY KEY (step, person_id, run_id, day)
) STRICT, WITHOUT ROWID;
INSERT INTO calls_of_steps
  SELECT
    idx / 256,
    person_id,
    ifnull(json_extract(text, '$.run'), '') AS run_id,
    unixepoch(json_extract(text, '$.committedAt')) / 86400 AS day,
    json_group_array(json_array(
      idx % 256,
      CASE kind WHEN 'request.intent' THEN 0 WHEN 'request.outcome' THEN 1 WHEN 'request.denied' THEN 2
        WHEN 'request.answered' THEN 3 ELSE 4 END,
      CASE kind WHEN 'request.denied_repeatedly'
        THEN (SELECT ifnull(sum(value), 0) FROM json_each(text, '$.data.counts')) ELSE 1 END,
      ifnull(json_extract(text, '$.data.usage.inputTokens'), 0),
      ifnull(json_extract(text, '$.data.usage.outputTokens'), 0)
    ) ORDER BY idx)
  FROM (
    SELECT idx, kind, person_id, CAST(bytes AS TEXT) AS text FROM entries
    -- Of each whole 256 entries.
    WHERE idx < (SELECT ifnull(max(idx) + 1, 0) / 256 * 256 FROM entries) AND person_id IS NOT NULL
      AND kind IN ('request.intent', 'request.outcome', 'request.denied', 'request.answered', 'request.denied_repeatedly')
  )
  GROUP BY 1, 2, 3, 4
  ORDER BY 1, 2, 3, 4;
