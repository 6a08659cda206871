/**
 * What calls left in the log, by person, run and UTC day. The index follows the log in the steps of entry-index.ts, in the
 * order of the log: what is written to it is side by side, however many people call at the same time. In which steps to look
 * for somebody, the index of searches says (search-index.ts). What is behind is read from the entries themselves.
 */
import { committedText } from '../core/audit/entry-terms.ts';
import type { Db } from './database.ts';
import { STEP, indexedUpTo } from './entry-index.ts';
import { CHUNK, addPlaces, noPlaces, placesOf } from './postings.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';
import { coveredUpTo } from './search-index.ts';

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

const STEPS_OF_CHUNK = CHUNK / STEP;

/** A UTC day (`2026-05-31`) as the index counts it: days from 1970-01-01. */
export const dayNumber = (day: string): number => Date.parse(`${day}T00:00:00Z`) / DAY_MS;

/** The day of a number of the index. */
export const dayOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10);

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

type RunAndDay = Pick<CallGroup, 'runId' | 'day'>;

/** Which calls: those of a person, perhaps under one run, perhaps of one day. */
export interface CallFilter {
  personId: string;
  runId?: string | undefined;
  day?: number | undefined;
  /** The first day that counts. */
  since?: number | undefined;
}

const listed = CALL_KINDS.map((kind) => `'${kind}'`).join(', ');

const callsBetween = prepared((db) =>
  db.$client
    .prepare<[number, number], [number, CallKind, string, string]>(
      `SELECT idx, kind, person_id, CAST(bytes AS TEXT) FROM entries
       WHERE idx >= ? AND idx < ? AND person_id IS NOT NULL AND kind IN (${listed}) ORDER BY idx`,
    )
    .raw(),
);

/** What calls left in the entries `from` to `to - 1`, in their order. */
function readCalls(db: Db, from: number, to: number): CallRow[] {
  return callsBetween(db)
    .all(from, to)
    .map(([index, kind, personId, text]) => ({ personId, index, kind, ...said(kind, text) }));
}

/** In JSON, these characters stand together nowhere else: inside a text, a quote has a backslash before it. */
const DATA = ',"data":{';
const RUN = ',"run":"';
const USAGE = '"usage":{';

function said(kind: CallKind, text: string): Omit<CallRow, 'personId' | 'index' | 'kind'> {
  const dataAt = text.indexOf(DATA);
  const runAt = text.indexOf(RUN);
  const hasRun = runAt !== -1 && (dataAt === -1 || runAt < dataAt);
  const { inputTokens = 0, outputTokens = 0 } =
    kind === 'request.outcome' ? usageIn(text, dataAt) : {};
  return {
    runId: hasRun ? text.slice(runAt + RUN.length, text.indexOf('"', runAt + RUN.length)) : '',
    day: dayIn(text),
    calls: kind === 'request.denied_repeatedly' ? countedIn(text) : 1,
    inputTokens,
    outputTokens,
  };
}

/** Entries side by side are of one day, but for the midnight between two. */
let lastDay = { text: '', day: NaN };

function dayIn(text: string): number {
  const day = committedText(text).slice(0, 10);
  if (day !== lastDay.text) lastDay = { text: day, day: dayNumber(day) };
  return lastDay.day;
}

interface Usage {
  inputTokens?: number;
  outputTokens?: number;
}

function usageIn(text: string, dataAt: number): Usage {
  const at = dataAt === -1 ? -1 : text.indexOf(USAGE, dataAt);
  if (at === -1) return {};
  const begin = at + USAGE.length - 1;
  return JSON.parse(text.slice(begin, text.indexOf('}', begin) + 1)) as Usage;
}

function countedIn(text: string): number {
  const { data } = JSON.parse(text) as { data?: { counts?: Record<string, number> } };
  return Object.values(data?.counts ?? {}).reduce((sum, count) => sum + count, 0);
}

/** Place of an entry in its step, number of its kind, and where they are not 1, 0 and 0: calls, tokens in and out. */
type Packed = [place: number, kind: number, calls?: number, input?: number, output?: number];

function pack({ index, kind, calls, inputTokens, outputTokens }: CallRow): Packed {
  const [place, number] = [index % STEP, CALL_KINDS.indexOf(kind)];
  const isPlain = calls === 1 && inputTokens === 0 && outputTokens === 0;
  return isPlain ? [place, number] : [place, number, calls, inputTokens, outputTokens];
}

function unpack(group: CallGroup, step: number, entries: string): CallRow[] {
  return (JSON.parse(entries) as Packed[]).map(
    ([place, kind, calls = 1, inputTokens = 0, outputTokens = 0]) => ({
      ...group,
      index: step * STEP + place,
      kind: CALL_KINDS[kind] as CallKind,
      calls,
      inputTokens,
      outputTokens,
    }),
  );
}

const callsIn = (db: Db, step: number): CallRow[] =>
  callsOfStep(db)
    .all(step)
    .flatMap(({ entries, ...group }) => unpack(group, step, entries))
    .toSorted((a, b) => a.index - b.index);

const insert = prepared((db) =>
  db.$client.prepare<[number, string, string, number, string]>(
    'INSERT INTO calls_of_steps (step, person_id, run_id, day, entries) VALUES (?, ?, ?, ?, ?)',
  ),
);

/** Brings the index up to the log, in the transaction that made it longer. @param before its size before that */
export function indexCalls(db: Db, before: number, size: number): void {
  const to = indexedUpTo(size);
  for (let from = indexedUpTo(before); from < to; from += STEP)
    for (const [{ personId, runId, day }, rows] of grouped(readCalls(db, from, from + STEP)))
      insert(db).run(from / STEP, personId, runId, day, JSON.stringify(rows.map(pack)));
}

/** Rows by person, run and day, in the order of the table. */
function grouped(rows: readonly CallRow[]): [CallGroup, CallRow[]][] {
  const groups = new Map<string, [CallGroup, CallRow[]]>();
  for (const row of rows) {
    const key = `${row.personId} ${row.runId} ${row.day}`;
    const group = groups.get(key);
    if (group) group[1].push(row);
    else groups.set(key, [row, [row]]);
  }
  return [...groups.values()].toSorted(
    ([a], [b]) => byText(a.personId, b.personId) || inOrder(a, b),
  );
}

const newest = prepared((db) =>
  db.$client.prepare<[], number | null>('SELECT max(idx) FROM entries').pluck(),
);

const chunksWith = prepared((db) =>
  db.$client.prepare<
    [string, string, number, number],
    { chunk: number; places: Buffer; times: Buffer }
  >(
    `SELECT t.chunk, t.places, c.times FROM entry_terms t CROSS JOIN entry_chunks c ON c.chunk = t.chunk
     WHERE t.field = ? AND t.value = ? AND c.greatest >= ? AND c.least < ? ORDER BY t.chunk`,
  ),
);

const chunksWithoutTimes = prepared((db) =>
  db.$client.prepare<[number], { chunk: number; times: Buffer }>(
    'SELECT chunk, times FROM entry_chunks WHERE chunk < ? AND least = 0',
  ),
);

const callsOfStep = prepared((db) =>
  db.$client.prepare<[number], CallGroup & { entries: string }>(
    'SELECT person_id AS personId, run_id AS runId, day, entries FROM calls_of_steps WHERE step = ?',
  ),
);

const groupsOfStep = prepared((db) =>
  db.$client.prepare<[number, string], RunAndDay>(
    'SELECT run_id AS runId, day FROM calls_of_steps WHERE step = ? AND person_id = ?',
  ),
);

const entriesOfGroup = prepared((db) =>
  db.$client
    .prepare<[number, string, string, number], string>(
      'SELECT entries FROM calls_of_steps WHERE step = ? AND person_id = ? AND run_id = ? AND day = ?',
    )
    .pluck(),
);

/**
 * What calls left among the first entries of the log. It reads the same whatever is appended meanwhile.
 */
export class CallReader {
  readonly #db: Db;
  /** From here on the index may lack entries, or have some that are not looked at. */
  readonly #indexed: number;
  /** What is not read from the index: fewer than a step. */
  readonly #behind: CallRow[];

  /** @param size entries that are looked at, all in the database */
  constructor(db: Db, size: number) {
    this.#db = db;
    const inAll = (newest(db).get() ?? -1) + 1;
    this.#indexed = indexedUpTo(Math.min(inAll, size));
    // Of a step that is whole the index says it, also where the entries were pruned.
    this.#behind =
      this.#indexed < indexedUpTo(inAll)
        ? callsIn(db, this.#indexed / STEP).filter(({ index }) => index < size)
        : readCalls(db, this.#indexed, size);
  }

  /** The runs and days of a person's calls, in their order, from a place on. */
  *groups(
    { personId, runId, day, since = -Infinity }: CallFilter,
    from: RunAndDay = { runId: '', day: -Infinity },
  ): Generator<CallGroup> {
    const found = new Map<string, CallGroup>();
    const isAsked = (group: RunAndDay): boolean =>
      (runId === undefined || group.runId === runId) &&
      (day === undefined || group.day === day) &&
      group.day >= since &&
      inOrder(group, from) >= 0;
    const note = (group: RunAndDay): void => {
      const key = `${group.runId} ${group.day}`;
      if (isAsked(group) && !found.has(key))
        found.set(key, { personId, runId: group.runId, day: group.day });
    };
    for (const step of this.#steps(personId, runId, { first: day ?? since, last: day }))
      for (const group of groupsOfStep(this.#db).all(step, personId)) note(group);
    for (const row of this.#behind) if (row.personId === personId) note(row);
    yield* [...found.values()].toSorted(inOrder);
  }

  /** The rows of one run and day, in the order of the log, so many at a time. */
  *rows({ personId, runId, day }: CallGroup, from: number, batch: number): Generator<CallRow[]> {
    const group: CallGroup = { personId, runId, day };
    let rows: CallRow[] = [];
    for (const step of this.#steps(personId, runId, { first: day, last: day })) {
      if ((step + 1) * STEP <= from) continue;
      const entries = entriesOfGroup(this.#db).get(step, personId, runId, day);
      if (entries === undefined) continue;
      for (const row of unpack(group, step, entries)) if (row.index >= from) rows.push(row);
      for (; rows.length >= batch; rows = rows.slice(batch)) yield rows.slice(0, batch);
    }
    for (const row of this.#behind)
      if (row.personId === personId && isSameGroup(row, group) && row.index >= from) rows.push(row);
    for (let at = 0; at < rows.length; at += batch) yield rows.slice(at, at + batch);
  }

  /**
   * The steps in which somebody's calls can be, ascending: by the index of searches as far as that goes, all of them behind it.
   *
   * @param days within which days an entry is looked for, the last one included
   */
  *#steps(
    personId: string,
    runId: string | undefined,
    { first, last }: { first: number; last: number | undefined },
  ): Generator<number> {
    const end = this.#indexed / STEP;
    const covered = Math.min(coveredUpTo(this.#db) / STEP, end);
    const [since, until] = [first * DAY_MS, last === undefined ? Infinity : (last + 1) * DAY_MS];
    // Calls without a run have no term that says so.
    const [field, value] =
      runId === undefined || runId === '' ? ['person', personId] : ['run', runId];
    const steps = this.#neverRead();
    for (const { chunk, places, times } of chunksWith(this.#db).all(field, value, since, until)) {
      const bits = noPlaces();
      addPlaces(bits, places);
      for (const inChunk of new Set(placesOf(bits).map((place) => Math.floor(place / STEP)))) {
        const { least, greatest } = timesOf(times, inChunk);
        if (greatest >= since && least < until) steps.push(chunk * STEPS_OF_CHUNK + inChunk);
      }
    }
    for (const step of steps.toSorted((a, b) => a - b)) if (step < covered) yield step;
    for (let step = covered; step < end; step += 1) yield step;
  }

  /** Steps that were pruned before the index of searches had come to them: it says nothing of anybody in them. */
  #neverRead(): number[] {
    return chunksWithoutTimes(this.#db)
      .all(Math.ceil(minimumIndex(this.#db) / CHUNK))
      .flatMap(({ chunk, times }) =>
        Array.from({ length: STEPS_OF_CHUNK }, (_, inChunk) => inChunk)
          .filter((inChunk) => timesOf(times, inChunk).greatest === 0)
          .map((inChunk) => chunk * STEPS_OF_CHUNK + inChunk),
      );
  }
}

/** Of a step, the least and the greatest time; 0 where it was not read. */
const timesOf = (times: Buffer, inChunk: number): { least: number; greatest: number } => ({
  least: times.readDoubleLE(inChunk * 16),
  greatest: times.readDoubleLE(inChunk * 16 + 8),
});

/** In the order of runs and days. */
const inOrder = (a: RunAndDay, b: RunAndDay): number => byText(a.runId, b.runId) || a.day - b.day;

const isSameGroup = (a: RunAndDay, b: RunAndDay): boolean => inOrder(a, b) === 0;

/** As SQLite compares texts: ids are ASCII. */
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
