/** What an operation works with: the open transaction, the log, the ledger. */
import { max } from 'drizzle-orm';
import { leafHash } from '../core/audit/merkle.ts';
import {
  MAX_ENTRY_BYTES,
  serialiseEntry,
  writeEntry,
  type EntryDraft,
  type WrittenEntry,
} from '../core/audit/entry.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Order } from '../core/orders.ts';
import type { Amount } from '../core/limits.ts';
import type { Narrowing } from '../core/narrowing.ts';
import type { Lab, Person } from '../core/people.ts';
import type { RequestIds } from '../core/requests.ts';
import type { SigningKeyRecord } from '../core/signing-keys.ts';
import type { Clock } from '../lib/clock.ts';
import { ShortLivedMap } from '../lib/short-lived-map.ts';
import type { Db } from './database.ts';
import { Ledger } from './ledger.ts';
import { readMeta } from './records.ts';
import { entries, meta } from './schema.ts';

/** What the proxied path knows of a token, until no request can be running that began with it. */
export interface LiveToken {
  id: string;
  audience: 'gateway' | 'control';
  personId: string;
  kid: string;
  grantId: string | null;
  runId: string | null;
  expiresAt: number;
  revokedAt: number | null;
  /** Thumbprint of the key that it is bound to. */
  jkt: string | null;
  narrowing: Narrowing | null;
}

/**
 * A change of what the proxied path decides on. The writer sends the changes of a commit together with
 * its results; the main thread applies them before it hands any result out.
 */
export type PolicyChange =
  | { kind: 'lab'; value: Lab }
  | { kind: 'person'; value: Person }
  | { kind: 'grant'; value: Grant }
  | { kind: 'order'; value: Order }
  | { kind: 'token'; value: LiveToken }
  | { kind: 'tokens_ended'; ids: string[]; at: number }
  | { kind: 'key'; value: SigningKeyRecord };

/** Whether somebody who was allowed something before may be refused it now. */
export function canNarrow(change: PolicyChange): boolean {
  switch (change.kind) {
    case 'order':
      return true;
    case 'grant':
      return ['active', 'revoked', 'closed'].includes(change.value.state);
    case 'person':
      return change.value.removedAt !== null;
    case 'tokens_ended':
      return true;
    case 'token':
      return false;
    case 'key':
      // A token is signed with the key that its decision saw: one that is no longer active signs nothing.
      return change.value.state !== 'next';
    case 'lab':
      return false;
  }
}

/** A request that was admitted and has no outcome yet. */
export interface OpenRequest {
  facts: RequestIds;
  /** What both of its entries say of it, as JSON members. */
  subject: string;
  admittedAt: number;
  reserved: Amount;
}

interface Mark {
  size: number;
  changes: number;
  epoch: number;
  host: string;
  takeBack: number;
}

export interface LogIdentity {
  /** Origin of the log, as in its checkpoints. */
  origin: string;
  /** Signs a checkpoint: the note for a size and root. Synchronous, since a transaction is. */
  signCheckpoint(size: number, root: Uint8Array): string;
}

export class WriterContext {
  readonly db: Db;
  readonly log: LogIdentity;
  readonly clock: Clock;
  readonly ledger: Ledger;
  /** Counts the commits that changed policy. A decision made at another epoch must be made again. */
  epoch = 0;
  /** Changes of policy in the transaction that is open. */
  changes: PolicyChange[] = [];
  /** Requests that have no outcome yet, as far as this process admitted them. */
  readonly open = new ShortLivedMap<OpenRequest>();
  #next: number;
  #committed = 0;
  #host: string;
  /** How to take back what the open transaction changed in memory, oldest first. */
  readonly #takeBack: (() => void)[] = [];
  readonly #insert;

  constructor(db: Db, log: LogIdentity, clock: Clock) {
    this.db = db;
    this.log = log;
    this.clock = clock;
    this.ledger = new Ledger(db, (takeBack) => this.changedMemory(takeBack));
    this.#next = 0;
    this.#host = '';
    this.#insert = db.$client.prepare<
      [
        number,
        string,
        string,
        string | null,
        string | null,
        string | null,
        string | null,
        Buffer,
        Buffer,
      ]
    >(
      'INSERT INTO entries (idx, id, kind, ref, lab_id, person_id, grant_id, leaf, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.reload();
  }

  /** Forgets what memory holds of uncommitted work. Called after a transaction or savepoint was undone. */
  reload(): void {
    const last = this.db
      .select({ idx: max(entries.idx) })
      .from(entries)
      .get()?.idx;
    this.#next = last === null || last === undefined ? 0 : last + 1;
    this.#host = readMeta(this.db, 'host_lab') ?? '';
    this.#takeBackTo(0);
    this.#committed = this.#next;
  }

  /** Number of entries in the log, those of the open transaction included. */
  get size(): number {
    return this.#next;
  }

  /** Number of entries without those of the open transaction, whose indexes are still to be written. */
  get committed(): number {
    return this.#committed;
  }

  /** Id of the host lab, or '' before there is one. */
  get host(): string {
    return this.#host;
  }

  /** Where memory stands, for {@link rewind}. */
  mark(): Mark {
    return {
      size: this.#next,
      changes: this.changes.length,
      epoch: this.epoch,
      host: this.#host,
      takeBack: this.#takeBack.length,
    };
  }

  /** Sets memory back to where it stood before what was undone in the database. */
  rewind(to: Mark): void {
    this.#next = to.size;
    this.#host = to.host;
    this.changes.length = to.changes;
    this.epoch = to.epoch;
    this.#takeBackTo(to.takeBack);
  }

  /** Notes how to take a change of memory back, should the database undo what it goes with. */
  changedMemory(takeBack: () => void): void {
    this.#takeBack.push(takeBack);
  }

  /** The transaction is durable: what memory holds stands. */
  keep(): void {
    this.#takeBack.length = 0;
    this.#committed = this.#next;
    this.ledger.keep();
  }

  #takeBackTo(length: number): void {
    while (this.#takeBack.length > length) this.#takeBack.pop()?.();
  }

  /**
   * Gives an entry its place in the log and writes it. It is durable when the transaction has committed.
   *
   * @returns its index
   */
  append(draft: EntryDraft): number {
    return this.appendWritten(writeEntry(draft));
  }

  /** The same for what is written already. */
  appendWritten(entry: WrittenEntry): number {
    const index = this.#next;
    const bytes = serialiseEntry(entry, {
      log: this.log.origin,
      index,
      committedAt: this.clock(),
      host: this.#host,
    });
    if (bytes.length > MAX_ENTRY_BYTES) {
      refuse(
        'invalid_request',
        `What is to be recorded comes to ${bytes.length} bytes; an entry of the log holds ${MAX_ENTRY_BYTES}. Shorten it.`,
      );
    }
    this.#insert.run(
      index,
      entry.id,
      entry.kind,
      entry.ref ?? null,
      entry.lab ?? null,
      entry.person ?? null,
      entry.grant ?? null,
      leafHash(bytes),
      bytes,
    );
    this.#next = index + 1;
    return index;
  }

  /** Records a refusal, whatever was refused: where its details outgrow an entry, without them. */
  appendDenial(draft: EntryDraft): number {
    return this.appendEither(writeEntry(draft), () =>
      writeEntry({ ...draft, orders: undefined, data: undefined }),
    );
  }

  /** Records what must not be lost: where it outgrows an entry, in its shorter form. */
  appendEither(entry: WrittenEntry, shorter: () => WrittenEntry): number {
    try {
      return this.appendWritten(entry);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return this.appendWritten(shorter());
    }
  }

  /**
   * Notes a change of policy. The epoch moves at once, not at the commit: the next call of the same batch
   * must not pass on facts from before. What takes nothing from anyone moves no epoch.
   */
  changed(change: PolicyChange): void {
    this.changes.push(change);
    if (canNarrow(change)) this.epoch += 1;
  }

  writeMeta(key: string, value: string): void {
    this.db.insert(meta).values({ key, value }).run();
    if (key === 'host_lab') this.#host = value;
  }
}
