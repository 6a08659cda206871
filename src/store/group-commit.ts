/**
 * Group commit: whatever queued while the last commit was being made durable goes into the next one, each
 * operation in a savepoint of its own. Thousands of operations a second share a few hundred syncs.
 */
import Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { PolicyChange, WriterContext } from './context.ts';
import { indexEntries } from './entry-index.ts';
import { OPERATIONS, type OperationName } from './operations/index.ts';
import type { Operation } from './operations/operation.ts';

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
  /** How long it took, from its first operation until it was durable, milliseconds. */
  tookMs: number;
  /** Set when the log can never be written again by this process. */
  fatal?: string;
}

/** Errors after which SQLite may have undone the whole transaction, or could not make it durable. */
const LOG_FAILURES = /^SQLITE_(FULL|IOERR|READONLY|CORRUPT|CANTOPEN|NOTADB|BUSY|LOCKED|NOMEM)/;

const UNAVAILABLE = refusal('log_unavailable');

/** Most operations of one commit: bounds how long the first of them waits for the last. */
export const MAX_BATCH = 512;

/** An operation that decides before it writes failed in the middle: its batch is run again, with savepoints. */
class HalfDone extends Error {}

export class GroupCommit {
  readonly #context: WriterContext;
  readonly #connection: Database.Database;
  readonly #inodes = new Map<string, bigint>();
  readonly #begin: Database.Statement<[]>;
  readonly #commit: Database.Statement<[]>;
  readonly #savepoint: Database.Statement<[]>;
  readonly #release: Database.Statement<[]>;
  readonly #totalChanges: Database.Statement<[]>;

  constructor(context: WriterContext) {
    this.#context = context;
    this.#connection = context.db.$client;
    this.#begin = this.#connection.prepare('BEGIN IMMEDIATE');
    this.#commit = this.#connection.prepare('COMMIT');
    this.#savepoint = this.#connection.prepare('SAVEPOINT operation');
    this.#release = this.#connection.prepare('RELEASE operation');
    const inode = inodeOf(this.#connection.name);
    if (inode !== undefined) this.#inodes.set(this.#connection.name, inode);
    this.#totalChanges = this.#connection.prepare('SELECT total_changes()').pluck();
  }

  /** Runs calls in order in one transaction and makes it durable. */
  commit(calls: readonly Call[]): Committed {
    const context = this.#context;
    const epoch = context.epoch;
    const begun = performance.now();
    const took = (): number => performance.now() - begun;
    context.changes = [];
    try {
      const before = this.#totalChanges.get();
      const answers = this.#inTransaction(calls, epoch);
      this.#mustBeTheSameFiles();
      context.keep();
      const wrote = this.#totalChanges.get() !== before;
      return { answers, changes: context.changes, epoch: context.epoch, wrote, tookMs: took() };
    } catch (error) {
      const fatal = isLogFailure(error) ? undefined : String(error);
      this.#undo(epoch);
      const failed = { ...this.#allFailed(calls, epoch), tookMs: took() };
      return fatal === undefined ? failed : { ...failed, fatal };
    }
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

  #run(calls: readonly Call[], always: boolean): Answer[] {
    const context = this.#context;
    const before = context.size;
    this.#begin.run();
    const answers = calls.map((call) => this.#runOne(call, always));
    context.ledger.write();
    indexEntries(context.db, before, context.size);
    // Crash before this line has returned: nothing of the batch exists, and nobody was told otherwise.
    this.#commit.run();
    return answers;
  }

  /** @param always whether even operations that decide first get a savepoint, which costs more than they do */
  #runOne({ id, name, args, notAfter }: Call, always: boolean): Answer {
    const context = this.#context;
    if (context.clock() > notAfter) return { id, refused: UNAVAILABLE };
    // The table gives each name the operation whose arguments its callers are typed by (client.ts).
    const operation = OPERATIONS[name] as unknown as Operation<unknown, unknown>;
    const guarded = always || operation.decidesFirst !== true;
    const before = context.mark();
    if (guarded) this.#savepoint.run();
    try {
      const value = operation.run(context, args);
      if (guarded) this.#release.run();
      return { id, value };
    } catch (error) {
      if (isLogFailure(error) || !this.#connection.inTransaction) throw error;
      const refused = error instanceof RefusedError;
      if (guarded) this.#connection.exec('ROLLBACK TO operation; RELEASE operation');
      else if (!refused || context.size !== before.size) throw new HalfDone();
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
    };
  }

  /** Undoes the transaction, and what memory has of it. @param epoch at its beginning */
  #undo(epoch: number): void {
    if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
    this.#context.reload();
    this.#context.changes = [];
    this.#context.epoch = epoch;
  }

  /**
   * SQLite goes on writing to files that have been deleted or replaced, and everything since would be lost
   * at the next start. So after each commit, before anybody hears of it, the paths must still lead to the
   * files that are open: the database, and its write-ahead log, which appears with the first write.
   */
  #mustBeTheSameFiles(): void {
    for (const path of [this.#connection.name, `${this.#connection.name}-wal`]) {
      const inode = inodeOf(path);
      const known = this.#inodes.get(path) ?? inode;
      if (inode === undefined || inode !== known) {
        throw new Error(`${path} was deleted or replaced while the broker was running.`);
      }
      this.#inodes.set(path, inode);
    }
  }
}

/** Without the values that drizzle puts into its messages: they go to the operational log. */
function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

function isLogFailure(error: unknown): boolean {
  if (error instanceof Database.SqliteError) return LOG_FAILURES.test(error.code);
  return error instanceof Error && error.cause !== undefined && isLogFailure(error.cause);
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}
