/**
 * What calls left in the log, by person, run and UTC day. The index follows the log in the steps of entry-index.ts; what
 * is behind it is read from the entries by the same expressions, so that both say the same.
 */
import type { Db } from './database.ts';
import { indexedUpTo } from './entry-index.ts';
import { prepared } from './prepared.ts';

/** The kinds of entry that a call leaves, in the order of their numbers in the index. */
const CALL_KINDS = [
  'request.intent',
  'request.outcome',
  'request.denied',
  'request.answered',
  'request.denied_repeatedly',
] as const;

export type CallKind = (typeof CALL_KINDS)[number];

const DAY_MS = 86_400_000;

/** A UTC day (`2026-05-31`) as the index counts it: days from 1970-01-01. */
export const dayNumber = (day: string): number => Date.parse(`${day}T00:00:00Z`) / DAY_MS;

/** The day of a number of the index. */
export const dayOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10);

const numbered = CALL_KINDS.map((kind, number) => `WHEN '${kind}' THEN ${number}`).join(' ');
const listed = CALL_KINDS.map((kind) => `'${kind}'`).join(', ');

/** The rows of the entries `idx >= ? AND idx < ?`. */
const ROWS = `
  SELECT
    person_id AS personId,
    ifnull(json_extract(text, '$.run'), '') AS runId,
    unixepoch(json_extract(text, '$.committedAt')) / 86400 AS day,
    idx AS "index",
    CASE kind ${numbered} END AS kind,
    CASE kind WHEN 'request.denied_repeatedly'
      THEN (SELECT ifnull(sum(value), 0) FROM json_each(text, '$.data.counts')) ELSE 1 END AS calls,
    ifnull(json_extract(text, '$.data.usage.inputTokens'), 0) AS inputTokens,
    ifnull(json_extract(text, '$.data.usage.outputTokens'), 0) AS outputTokens
  FROM (
    SELECT idx, kind, person_id, CAST(bytes AS TEXT) AS text FROM entries
    WHERE idx >= ? AND idx < ? AND person_id IS NOT NULL AND kind IN (${listed})
  )
  ORDER BY 1, 2, 3, 4`;

const fill = prepared((db) =>
  db.$client.prepare<[number, number]>(`INSERT INTO entries_of_calls ${ROWS}`),
);

/** Brings the index up to the log, in the transaction that made it longer. @param before its size before that */
export function indexCalls(db: Db, before: number, size: number): void {
  const from = indexedUpTo(before);
  const to = indexedUpTo(size);
  if (to > from) fill(db).run(from, to);
}

/** What one entry says of a call. */
export interface CallRow {
  personId: string;
  /** '' where the entry names none. */
  runId: string;
  /** As {@link dayNumber} counts. */
  day: number;
  index: number;
  kind: CallKind;
  /** How many calls it stands for. */
  calls: number;
  inputTokens: number;
  outputTokens: number;
}

/** A person's calls under one run on one day. */
export type CallGroup = Pick<CallRow, 'personId' | 'runId' | 'day'>;

/** Which calls: those of a person, perhaps under one run, perhaps of one day. */
export interface CallFilter {
  personId: string;
  runId?: string | undefined;
  day?: number | undefined;
  /** The first day that counts. */
  since?: number | undefined;
}

type Numbered = Omit<CallRow, 'kind'> & { kind: number };

const COLUMNS = `person_id AS personId, run_id AS runId, day, idx AS "index", kind, calls,
  input_tokens AS inputTokens, output_tokens AS outputTokens`;

const named = (row: Numbered): CallRow => ({
  ...row,
  kind: CALL_KINDS[row.kind] as CallKind,
});

const newest = prepared((db) =>
  db.$client.prepare<[], number | null>('SELECT max(idx) FROM entries').pluck(),
);
const behind = prepared((db) => db.$client.prepare<[number, number], Numbered>(ROWS));
const nextRun = prepared((db) =>
  db.$client
    .prepare<[string, string], string>(
      'SELECT run_id FROM entries_of_calls WHERE person_id = ? AND run_id >= ? ORDER BY run_id LIMIT 1',
    )
    .pluck(),
);
const nextDay = prepared((db) =>
  db.$client
    .prepare<[string, string, number], number>(
      `SELECT day FROM entries_of_calls WHERE person_id = ? AND run_id = ? AND day >= ?
       ORDER BY day LIMIT 1`,
    )
    .pluck(),
);
const rowsOf = prepared((db) =>
  db.$client.prepare<[string, string, number, number, number, number], Numbered>(
    `SELECT ${COLUMNS} FROM entries_of_calls
     WHERE person_id = ? AND run_id = ? AND day = ? AND idx >= ? AND idx < ? ORDER BY idx LIMIT ?`,
  ),
);

/**
 * What calls left among the first entries of the log. It reads the same whatever is appended meanwhile.
 */
export class CallReader {
  readonly #db: Db;
  /** From here on the index may lack entries. */
  readonly #indexed: number;
  /** What is not in the index, in its order: fewer than a step. */
  readonly #behind: CallRow[];

  /** @param size entries that are looked at, all in the database */
  constructor(db: Db, size: number) {
    this.#db = db;
    this.#indexed = Math.min(indexedUpTo((newest(db).get() ?? -1) + 1), size);
    this.#behind = behind(db).all(this.#indexed, size).map(named);
  }

  /** The runs and days of a person's calls, in their order, from a place on. */
  *groups(
    { personId, runId, day, since = 0 }: CallFilter,
    from: Pick<CallGroup, 'runId' | 'day'> = { runId: '', day: 0 },
  ): Generator<CallGroup> {
    const pending = this.#behind.filter((row) => row.personId === personId);
    for (const run of this.#runs(personId, runId, from.runId, pending)) {
      const first = Math.max(run === from.runId ? from.day : 0, day ?? since);
      for (const at of this.#days(personId, run, first, pending)) {
        const group = { personId, runId: run, day: at };
        // The index may have more of it than the entries that are looked at.
        if ((day === undefined || at === day) && this.#hasAny(group)) yield group;
        if (day !== undefined) break;
      }
    }
  }

  /** The rows of one run and day, in the order of the log, so many at a time. */
  *rows({ personId, runId, day }: CallGroup, from: number, batch: number): Generator<CallRow[]> {
    for (let next = from; next < this.#indexed;) {
      const rows = rowsOf(this.#db).all(personId, runId, day, next, this.#indexed, batch);
      if (rows.length > 0) yield rows.map(named);
      if (rows.length < batch) break;
      next = (rows.at(-1) as Numbered).index + 1;
    }
    const rest = this.#behind.filter(
      (row) =>
        row.personId === personId && row.runId === runId && row.day === day && row.index >= from,
    );
    if (rest.length > 0) yield rest;
  }

  #hasAny(group: CallGroup): boolean {
    return this.rows(group, 0, 1).next().done !== true;
  }

  *#runs(
    personId: string,
    only: string | undefined,
    from: string,
    pending: readonly CallRow[],
  ): Generator<string> {
    if (only !== undefined) {
      if (only >= from) yield only;
      return;
    }
    // After each, the least text that is greater.
    for (let after = from; ; after += '\0') {
      const since = after;
      const indexed = nextRun(this.#db).get(personId, since);
      const others = pending.map(({ runId }) => runId).filter((runId) => runId >= since);
      const [next] = [...others, ...(indexed === undefined ? [] : [indexed])].toSorted(byText);
      if (next === undefined) return;
      yield next;
      after = next;
    }
  }

  *#days(
    personId: string,
    run: string,
    from: number,
    pending: readonly CallRow[],
  ): Generator<number> {
    for (let since = from; ; since += 1) {
      const least = since;
      const indexed = nextDay(this.#db).get(personId, run, least);
      const others = pending
        .filter(({ runId, day }) => runId === run && day >= least)
        .map(({ day }) => day);
      const next = Math.min(...others, indexed ?? Infinity);
      if (next === Infinity) return;
      yield next;
      since = next;
    }
  }
}

/** As SQLite compares texts: ids are ASCII. */
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
