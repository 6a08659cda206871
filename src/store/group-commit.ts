/**
 * Group commit: whatever queued while the last commit was being made durable goes into the next one. Thousands of
 * operations a second share a few hundred syncs.
 *
 * There are two ways to be durable. What requests wait for (operations that are `journalled`) goes into the journal, and
 * is carried over into the database soon after. Everything else is a transaction of the database, which first carries
 * over what the journal holds; each operation has a savepoint of its own there. Both ways keep one order.
 */
import Database from 'better-sqlite3';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import { NeedsDatabase, type PolicyChange, type WriterContext } from './context.ts';
import { indexCalls } from './call-index.ts';
import { indexRefs, indexedUpTo } from './entry-index.ts';
import { JournalFailure, TAKEN_OVER, type Journal } from './journal.ts';
import { OPERATIONS, type OperationName } from './operations/index.ts';
import type { Operation } from './operations/operation.ts';
import { readMeta, replaceMeta } from './records.ts';
import { redo } from './redo.ts';
import { SameFiles } from './same-files.ts';
import { SearchIndex } from './search-index.ts';
import { growTiles } from './tree.ts';

/** A call as it crosses the thread boundary. */
export interface Call {
  id: number;
  name: OperationName;
  args: unknown;
  /** Not begun after this moment (epoch milliseconds): the caller has been told that it failed. */
  notAfter: number;
}

export type Answer = { id: number } & (
  { value: unknown } | { refused: Refusal } | { failed: string }
);

/** What a commit comes to: answers, and the changes of policy that are to be applied before any of them. */
export interface Committed {
  answers: Answer[];
  changes: PolicyChange[];
  epoch: number;
  /** Whether the commit wrote anything, and so shows that the log can be written. */
  wrote: boolean;
  /** Whether the journal holds what the database does not yet: readers of the database do not see it. */
  isBehind: boolean;
  /** How long it took, from its first operation until it was durable, milliseconds. */
  tookMs: number;
  /** Why it failed, where it did. */
  why?: string;
  /** Set when the log can never be written again by this process. */
  fatal?: string;
}

/** Errors after which SQLite may have undone the whole transaction, or could not make it durable. */
const LOG_FAILURES = /^SQLITE_(FULL|IOERR|READONLY|CORRUPT|CANTOPEN|NOTADB|BUSY|LOCKED|NOMEM)/;

const UNAVAILABLE = refusal('log_unavailable');

/** After it failed, everything goes into the database for so long. */
const JOURNAL_RESTS_MS = 10_000;

/** Most operations of one commit: bounds how long the first of them waits for the last. */
export const MAX_BATCH = 512;

/** An operation that decides before it writes failed in the middle: its batch is run again, with savepoints. */
class HalfDone extends Error {}

type Done = Pick<Committed, 'answers' | 'wrote'>;

/** What a failed operation has to be undone by. */
type Undo = 'savepoint' | 'spared savepoint' | 'memory alone';

export class GroupCommit {
  readonly #context: WriterContext;
  readonly #connection: Database.Database;
  /** Checked after each commit, before anybody hears of it: the database, its write-ahead log, and the journal. */
  readonly #files: SameFiles;
  readonly #begin: Database.Statement<[]>;
  readonly #commit: Database.Statement<[]>;
  readonly #savepoint: Database.Statement<[]>;
  readonly #release: Database.Statement<[]>;
  readonly #totalChanges: Database.Statement<[]>;
  readonly #journal: Journal | undefined;
  readonly #searchIndex: SearchIndex;
  #isIndexBehind = false;
  /**
   * A commit failed, of the journal or of the database, and may be on the disk all the same. The next one that succeeds
   * in the database voids it; until then nothing goes into the journal, which would follow the wrong one.
   */
  #isUncertain = false;
  /** Epoch milliseconds: a journal that failed is not tried again at once, while the database may be well. */
  #journalNotBefore = 0;

  /** @param journal where there is none, every commit is one of the database */
  constructor(context: WriterContext, journal?: Journal) {
    this.#context = context;
    this.#journal = journal;
    this.#connection = context.db.$client;
    this.#searchIndex = new SearchIndex(context.db);
    const { name } = this.#connection;
    this.#files = new SameFiles([name, `${name}-wal`, ...(journal ? [journal.path] : [])]);
    this.#begin = this.#connection.prepare('BEGIN IMMEDIATE');
    this.#commit = this.#connection.prepare('COMMIT');
    this.#savepoint = this.#connection.prepare('SAVEPOINT operation');
    this.#release = this.#connection.prepare('RELEASE operation');
    this.#totalChanges = this.#connection.prepare('SELECT total_changes()').pluck();
  }

  /**
   * Takes over what the journal held when the process ended. Before the first commit.
   *
   * @throws when journal and database do not belong together
   */
  takeOver(): void {
    const journal = this.#journal;
    if (!journal) return;
    const taken = BigInt(readMeta(this.#context.db, TAKEN_OVER) ?? 0);
    const frames = journal.lackedFrames(taken);
    journal.begin(taken + 1n);
    if (frames.length === 0) return;
    const before = this.#context.size;
    this.#begin.run();
    for (const frame of frames) redo(this.#context, frame);
    this.#complete(before, taken + 1n);
    // Crash before this line has returned: the journal is as it was, and the next start does this again.
    this.#commit.run();
    this.#context.keep();
    journal.begin(taken + 2n);
  }

  /** Whether the index of searches is behind by more than the next commits make up for. */
  get isIndexBehind(): boolean {
    return this.#isIndexBehind;
  }

  /** Runs calls in order and makes them durable, all or none. */
  commit(calls: readonly Call[]): Committed {
    const context = this.#context;
    const epoch = context.epoch;
    const begun = performance.now();
    const took = (): number => performance.now() - begun;
    context.changes = [];
    try {
      const done = this.#intoJournal(calls) ?? this.#intoDatabase(calls, epoch);
      const isBehind = context.backlog.size > 0;
      return { ...done, changes: context.changes, epoch: context.epoch, isBehind, tookMs: took() };
    } catch (error) {
      const fatal = isLogFailure(error) ? undefined : String(error);
      this.#isUncertain = true;
      this.#undo(epoch);
      const failed = { ...this.#allFailed(calls, epoch), why: describe(error), tookMs: took() };
      return fatal === undefined ? failed : { ...failed, fatal };
    }
  }

  /** @returns undefined where this is not for the journal: nothing has happened then */
  #intoJournal(calls: readonly Call[]): Done | undefined {
    const journal = this.#journal;
    if (!journal || this.#isUncertain || !calls.every(isJournalled)) return undefined;
    const context = this.#context;
    if (context.clock() < this.#journalNotBefore) return undefined;
    const before = context.mark();
    try {
      const answers = context.journalling(() => this.#runAll(calls, () => 'memory alone'));
      const added = context.backlog.since(before.backlog);
      const wrote = added.length > 0;
      // Crash before this has returned: the next start takes over all of the frame or nothing, and nobody was told.
      if (wrote && !journal.append(before.size, added)) {
        context.rewind(before);
        return undefined;
      }
      if (wrote) this.#files.check();
      context.keepJournalled();
      return { answers, wrote };
    } catch (error) {
      context.rewind(before);
      if (error instanceof NeedsDatabase) return undefined;
      if (error instanceof JournalFailure)
        this.#journalNotBefore = context.clock() + JOURNAL_RESTS_MS;
      throw error;
    }
  }

  #intoDatabase(calls: readonly Call[], epoch: number): Done {
    const context = this.#context;
    const before = this.#totalChanges.get();
    const answers = this.#inTransaction(calls, epoch);
    const journal = this.#journal;
    this.#files.checkFiles();
    journal?.mustBeWhole();
    context.keep();
    // What was in it is in the database now, which says so.
    if (journal && !journal.isEmpty) journal.begin(journal.generation + 1n);
    this.#isUncertain = false;
    return { answers, wrote: this.#totalChanges.get() !== before };
  }

  #inTransaction(calls: readonly Call[], epoch: number): Answer[] {
    try {
      return this.#run(calls, false);
    } catch (error) {
      if (!(error instanceof HalfDone)) throw error;
      this.#undo(epoch);
      return this.#run(calls, true);
    }
  }

  /** @param always whether even operations that decide first get a savepoint, which costs more than they do */
  #run(calls: readonly Call[], always: boolean): Answer[] {
    const context = this.#context;
    const before = context.indexed;
    this.#begin.run();
    context.backlog.carryOver(context.db);
    const answers = this.#runAll(calls, (call) => undoOf(call, always));
    const { isEmpty = true, generation = 0n } = this.#journal ?? {};
    this.#complete(before, isEmpty ? undefined : generation);
    // Crash before this line has returned: nothing of the batch exists, and nobody was told otherwise. What the journal
    // holds is taken over from it.
    this.#commit.run();
    return answers;
  }

  /**
   * The last writes of a transaction.
   *
   * @param before size of the log as the database had it
   * @param takenOver generation of the journal that the database holds with this commit
   */
  #complete(before: number, takenOver: bigint | undefined): void {
    const { db, ledger, size } = this.#context;
    ledger.write();
    indexRefs(db, before, size);
    indexCalls(db, before, size);
    this.#isIndexBehind = this.#searchIndex.follow(size);
    if (indexedUpTo(size) > indexedUpTo(before)) growTiles(this.#context, indexedUpTo(size));
    if (takenOver !== undefined) replaceMeta(db, TAKEN_OVER, String(takenOver));
  }

  #runAll(calls: readonly Call[], undo: (call: Call) => Undo): Answer[] {
    // Not by map: it leaves an array that crosses to another thread member by member, as if it had holes.
    const answers: Answer[] = [];
    for (const call of calls) answers.push(this.#runOne(call, undo(call)));
    return answers;
  }

  #runOne({ id, name, args, notAfter }: Call, undo: Undo): Answer {
    const context = this.#context;
    if (context.clock() > notAfter) return { id, refused: UNAVAILABLE };
    const operation = operationOf(name);
    const before = context.mark();
    if (undo === 'savepoint') this.#savepoint.run();
    try {
      const value = operation.run(context, args);
      if (undo === 'savepoint') this.#release.run();
      return { id, value };
    } catch (error) {
      if (error instanceof NeedsDatabase || isLogFailure(error)) throw error;
      if (undo !== 'memory alone' && !this.#connection.inTransaction) throw error;
      const refused = error instanceof RefusedError;
      if (undo === 'savepoint') this.#connection.exec('ROLLBACK TO operation; RELEASE operation');
      else if (undo === 'spared savepoint' && (!refused || context.size !== before.size))
        throw new HalfDone();
      context.rewind(before);
      if (!refused) return { id, failed: `${name}: ${describe(error)}` };
      const entry = operation.denied?.(context, args, error.refusal);
      if (entry) context.appendDenial(entry);
      return { id, refused: error.refusal };
    }
  }

  #allFailed(calls: readonly Call[], epoch: number): Omit<Committed, 'tookMs'> {
    return {
      answers: calls.map(({ id }) => ({ id, refused: UNAVAILABLE })),
      changes: [],
      epoch,
      wrote: false,
      isBehind: this.#context.backlog.size > 0,
    };
  }

  /** Undoes the transaction, and what memory has of it. @param epoch at its beginning */
  #undo(epoch: number): void {
    if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
    this.#context.reload();
    this.#searchIndex.forget();
    this.#context.changes = [];
    this.#context.epoch = epoch;
  }
}

// The table gives each name the operation whose arguments its callers are typed by (client.ts).
const operationOf = (name: OperationName): Operation<unknown, unknown> => OPERATIONS[name];

const isJournalled = ({ name }: Call): boolean => operationOf(name).journalled === true;

const undoOf = ({ name }: Call, always: boolean): Undo =>
  always || operationOf(name).decidesFirst !== true ? 'savepoint' : 'spared savepoint';

/** Without the values that drizzle puts into its messages: they go to the operational log. */
function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

function isLogFailure(error: unknown): boolean {
  if (error instanceof JournalFailure) return true;
  if (error instanceof Database.SqliteError) return LOG_FAILURES.test(error.code);
  return error instanceof Error && error.cause !== undefined && isLogFailure(error.cause);
}
