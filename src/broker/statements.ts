/**
 * Statements of what calls left in the log, by person, run and UTC day, each with a digest over the entries: what a partner
 * lab holds against the receipts that its people kept. docs/receipts.md defines them to the byte.
 */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HASH_BYTES } from '../core/audit/merkle.ts';
import { TILE_WIDTH } from '../core/audit/tiles.ts';
import { refuse } from '../core/denials.ts';
import {
  dayNumber,
  dayOf,
  type CallFilter,
  type CallGroup,
  type CallKind,
  type CallReader,
  type CallRow,
} from '../store/call-index.ts';
import type { Readers } from '../store/readers.ts';
import type { Broker } from './broker.ts';
import { coveringCheckpoint } from './covering-checkpoint.ts';
import { mayRead, type ReadingMember } from './reach.ts';
import { recordReading } from './record-reading.ts';

/** Which calls a statement is asked of. Days are UTC days such as `2026-05-31`. */
export interface StatementQuery {
  personId?: string | undefined;
  labId?: string | undefined;
  runId?: string | undefined;
  day?: string | undefined;
  since?: string | undefined;
  /** Size of the checkpoint as of which; undefined: of one that covers all that callers have been told by now. */
  size?: number | undefined;
}

/** Where a page of statements begins. */
export interface StatementPlace {
  personId: string;
  /** '' where there is none. */
  runId: string;
  day: string;
}

/** Of one person, run and UTC day. */
export interface Statement extends StatementPlace {
  /** Calls that were passed on to a model endpoint, or were about to be. */
  requests: number;
  /** Of those, such as have ended. */
  outcomes: number;
  /** Calls that were refused, those that were counted together included. */
  refusals: number;
  /** Calls that the broker answered itself: lists of models. */
  answered: number;
  inputTokens: number;
  outputTokens: number;
  /** How many entries the digest is over, and the first and the last of them. */
  entries: number;
  first: number;
  last: number;
  /** SHA-256 over the leaf hashes of these entries, in the order of the log. */
  digest: Buffer;
}

/** One entry that a statement counts. */
export interface StatedEntry extends StatementPlace {
  index: number;
  kind: CallKind;
  /** The request. Absent where refusals were counted together. */
  ref: string | undefined;
  leafHash: Buffer;
}

type Checkpoint = Awaited<ReturnType<typeof coveringCheckpoint>>;

/** Entries read at a time: others of this process wait meanwhile. */
const BATCH = 1_024;

/** An answer goes on to no other statement after so many entries. */
const MOST_ENTRIES = 200_000;

/** People that are gone through at a time. */
const PEOPLE = 200;

/**
 * Statements in the order of people, runs and days. The reading is itself an entry, written before anything is shown.
 *
 * @param page.from where it begins: `next` of the page before
 */
export async function readStatements(
  broker: Broker,
  actorId: string,
  query: StatementQuery,
  page: { from?: StatementPlace | undefined; limit: number },
): Promise<{ checkpoint: Checkpoint; items: Statement[]; next: StatementPlace | undefined }> {
  const reader = mayRead(broker, actorId, 'log.read');
  const checkpoint = await asOf(broker, query.size);
  const calls = broker.readers.calls(checkpoint.size);
  const items: Statement[] = [];
  let counted = 0;
  let next: StatementPlace | undefined;
  for (const group of groupsWithin(broker, reader, query, calls, page.from)) {
    if (items.length === page.limit || counted >= MOST_ENTRIES) {
      next = placeOf(group);
      break;
    }
    const statement = await stateOf(broker.readers, calls, group);
    counted += statement.entries;
    items.push(statement);
  }
  await recordReading(broker, reader, {
    what: 'statements',
    ...asked(query),
    size: checkpoint.size,
    found: items.length,
  });
  return { checkpoint, items, next };
}

/**
 * The entries that the statements of one person count, in the order of runs, days and the log: of the person that is
 * named, of the one whose run is named, or of whoever asks.
 */
export async function readStatedEntries(
  broker: Broker,
  actorId: string,
  query: StatementQuery,
  page: { from?: (StatementPlace & { index: number }) | undefined; limit: number },
): Promise<{
  checkpoint: Checkpoint;
  items: StatedEntry[];
  next: (StatementPlace & { index: number }) | undefined;
}> {
  const reader = mayRead(broker, actorId, 'log.read');
  const checkpoint = await asOf(broker, query.size);
  const calls = broker.readers.calls(checkpoint.size);
  const whose = query.runId === undefined ? actorId : broker.readers.personOfRun(query.runId);
  const ofOne = { ...query, personId: query.personId ?? whose };
  const rows: CallRow[] = [];
  // One more than asked for: where the next page begins.
  for (const group of groupsWithin(broker, reader, ofOne, calls, page.from)) {
    const isFirst = page.from !== undefined && isSame(placeOf(group), page.from);
    for (const batch of calls.rows(group, isFirst ? (page.from?.index ?? 0) : 0, page.limit + 1)) {
      rows.push(...batch.slice(0, page.limit + 1 - rows.length));
      if (rows.length > page.limit) break;
    }
    if (rows.length > page.limit) break;
  }
  const more = rows.length > page.limit ? rows.pop() : undefined;
  const refs = broker.readers.refsOf(rows.map(({ index }) => index));
  const leafs = new LeafHashes(broker.readers);
  const items = rows.map((row) => ({
    ...placeOf(row),
    index: row.index,
    kind: row.kind,
    ref: refs.get(row.index),
    leafHash: leafs.at(row.index),
  }));
  await recordReading(broker, reader, {
    what: 'stated entries',
    ...asked(ofOne),
    size: checkpoint.size,
    found: items.length,
  });
  return { checkpoint, items, next: more && { ...placeOf(more), index: more.index } };
}

const placeOf = ({ personId, runId, day }: CallGroup): StatementPlace => ({
  personId,
  runId,
  day: dayOf(day),
});

const isSame = (a: StatementPlace, b: StatementPlace): boolean =>
  a.personId === b.personId && a.runId === b.runId && a.day === b.day;

async function asOf(broker: Broker, size: number | undefined): Promise<Checkpoint> {
  if (size !== undefined)
    return (
      broker.readers.checkpointOf(size) ??
      refuse('invalid_request', 'No checkpoint of that size was signed. Leave size out.')
    );
  await broker.store.caughtUp();
  return coveringCheckpoint(broker, broker.readers.logSize() - 1);
}

/** The groups of everybody who is asked for and within reach, from a place on. */
function* groupsWithin(
  broker: Broker,
  { bounds }: ReadingMember,
  query: StatementQuery,
  calls: CallReader,
  from: StatementPlace | undefined,
): Generator<CallGroup> {
  const { runId } = query;
  const ofRun = runId === undefined ? undefined : broker.readers.personOfRun(runId);
  if (runId !== undefined && ofRun === undefined) return;
  const wanted = [query.personId, ofRun, bounds.personId].filter((id) => id !== undefined);
  const labs = [query.labId, bounds.labId].filter((id) => id !== undefined);
  for (const { id, labId } of peopleAmong(broker, wanted, labs, from?.personId)) {
    if (labs.some((lab) => lab !== labId) || wanted.some((person) => person !== id)) continue;
    const filter: CallFilter = {
      personId: id,
      runId,
      day: query.day === undefined ? undefined : dayNumber(query.day),
      since: query.since === undefined ? undefined : dayNumber(query.since),
    };
    const start = from?.personId === id ? { ...from, day: dayNumber(from.day) } : undefined;
    yield* calls.groups(filter, start);
  }
}

/** One person where one is named, those of a lab where one is; by id, from one on. */
function* peopleAmong(
  { policy, readers }: Broker,
  [person]: string[],
  [labId]: string[],
  from = '',
): Generator<{ id: string; labId: string }> {
  if (person !== undefined) {
    const found = policy.member(person)?.person;
    if (found && found.id >= from) yield found;
    return;
  }
  const first = from === '' ? undefined : policy.member(from)?.person;
  if (first) yield first;
  for (let after: string | undefined = from; after !== undefined;) {
    const people = readers.listPeople({ after, limit: PEOPLE }, { labId });
    yield* people;
    after = people.length === PEOPLE ? people.at(-1)?.id : undefined;
  }
}

async function stateOf(readers: Readers, calls: CallReader, group: CallGroup): Promise<Statement> {
  const counts: Record<CallKind, number> = {
    'request.intent': 0,
    'request.outcome': 0,
    'request.denied': 0,
    'request.answered': 0,
    'request.denied_repeatedly': 0,
  };
  const sums = { inputTokens: 0, outputTokens: 0, entries: 0, first: 0, last: 0 };
  const leafs = new LeafHashes(readers);
  const digest = createHash('sha256');
  for (const rows of calls.rows(group, 0, BATCH)) {
    for (const row of rows) {
      counts[row.kind] += row.calls;
      sums.inputTokens += row.inputTokens;
      sums.outputTokens += row.outputTokens;
      if (sums.entries === 0) sums.first = row.index;
      sums.entries += 1;
      sums.last = row.index;
      digest.update(leafs.at(row.index));
    }
    await nextTurn();
  }
  return {
    ...placeOf(group),
    requests: counts['request.intent'],
    outcomes: counts['request.outcome'],
    refusals: counts['request.denied'] + counts['request.denied_repeatedly'],
    answered: counts['request.answered'],
    ...sums,
    digest: digest.digest(),
  };
}

/** Leaf hashes out of the tiles: entries side by side come out of one. */
class LeafHashes {
  readonly #readers: Readers;
  #n = -1;
  #tile: Uint8Array = Buffer.alloc(0);

  constructor(readers: Readers) {
    this.#readers = readers;
  }

  /** @throws when no tile covers the entry, which one below a checkpoint has */
  at(index: number): Buffer {
    const n = Math.floor(index / TILE_WIDTH);
    const start = (index % TILE_WIDTH) * HASH_BYTES;
    if (n !== this.#n) {
      this.#tile = this.#readers.readTile(0, n) ?? Buffer.alloc(0);
      this.#n = n;
    }
    const hash = this.#tile.subarray(start, start + HASH_BYTES);
    if (hash.length !== HASH_BYTES) throw new Error(`No tile has the hash of entry ${index}.`);
    return Buffer.from(hash);
  }
}

/** What goes on record of a question. */
const asked = ({ personId, labId, runId, day, since }: StatementQuery) => ({
  person: personId,
  lab: labId,
  run: runId,
  day,
  since,
});
