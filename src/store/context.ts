/** What an operation works with: the open transaction or the journal's backlog, the log, the ledger. */
import { max } from 'drizzle-orm';
import { leafHash } from '../core/audit/merkle.ts';
import {
  MAX_ENTRY_BYTES,
  serialiseEntry,
  writeEntry,
  type EntryDraft,
  type WrittenEntry,
} from '../core/audit/entry.ts';
import type { TreeEdge } from '../core/audit/tree-edge.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import type { ApprovalRole, AuthorityRules } from '../core/authority-rules.ts';
import { NOTHING_EXCLUDED, type Exclusions } from '../core/exclusions.ts';
import type { Grant } from '../core/grants.ts';
import type { NoticeChannel } from '../core/notice-channels.ts';
import type { Order } from '../core/orders/order.ts';
import type { Narrowing } from '../core/narrowing.ts';
import type { Lab, Person } from '../core/people.ts';
import type { SigningKeyRecord } from '../core/signing-keys.ts';
import type { Purpose } from '../core/vocabulary.ts';
import type { Clock } from '../lib/clock.ts';
import { ShortLivedMap } from '../lib/short-lived-map.ts';
import { Backlog } from './backlog.ts';
import type { Db } from './database.ts';
import { insertEntry, type PlacedEntry } from './entry-rows.ts';
import { Ledger } from './ledger.ts';
import { readMeta } from './records.ts';
import { closeRow, insertRow, type Closing, type OpenRequest } from './request-rows.ts';
import { entries, meta } from './schema.ts';

/** What the proxied path knows of a token, until no request can be running that began with it. */
export interface LiveToken {
  id: string;
  audience: 'gateway' | 'control';
  personId: string;
  kid: string;
  grantId: string | null;
  purpose: Purpose | null;
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
  | { kind: 'key'; value: SigningKeyRecord }
  /** Another key of the log signs checkpoints: its verifier key. */
  | { kind: 'log_key'; value: string };

/** Whether somebody who was allowed something before may be refused it now. */
export function canNarrow(change: PolicyChange): boolean {
  switch (change.kind) {
    case 'order':
      return true;
    case 'grant':
      return ['active', 'revoked', 'closed'].includes(change.value.state);
    case 'person':
      // Their attributes, too, are what orders and grants go by.
      return true;
    case 'tokens_ended':
      return true;
    case 'token':
      return false;
    case 'key':
      // A token is signed with the key that its decision saw: one that is no longer active signs nothing.
      return change.value.state !== 'next';
    case 'lab':
    case 'log_key':
      return false;
  }
}

/** An operation that was run for the journal needs the database: it is to be run again, in a transaction. */
export class NeedsDatabase extends Error {}

/** Where memory stands. */
export interface Mark {
  size: number;
  changes: number;
  epoch: number;
  host: string;
  takeBack: number;
  backlog: ReturnType<Backlog['mark']>;
  edge: TreeEdge | undefined;
}

export interface LogIdentity {
  /** Origin of the log, as in its checkpoints. */
  origin: string;
  /**
   * Signs a checkpoint: the note for a size and root. Synchronous, since a transaction is.
   *
   * @param at epoch milliseconds: until when keys that were replaced go on signing
   */
  signCheckpoint(size: number, root: Uint8Array, at: number): string;
  /** Makes a key that can follow the present one. It is on disk when this returns, and signs no checkpoint yet. */
  makeNext(): NextLogKey;
}

/** A key of the log that nobody has used. */
interface NextLogKey {
  verifierKey: string;
  /** In the folder of keys. */
  file: string;
  /** Signs, with the present key and this one, that this one follows. */
  signStep(text: string): string;
  /**
   * Has it sign checkpoints.
   *
   * @param until epoch milliseconds: for so long the present key signs beside it
   * @returns how to take that back, should the database undo what it goes with
   */
  takeOver(until: number): () => void;
}

/** What the configuration says of grants beyond the rules of authority. */
export interface GrantSettings {
  /** What is never granted. */
  excluded: Exclusions;
  /** By endpoint, whose approvals it asks for beside those of every grant. */
  approvalsOf: Readonly<Record<string, readonly ApprovalRole[]>>;
}

const NO_GRANT_SETTINGS: GrantSettings = { excluded: NOTHING_EXCLUDED, approvalsOf: {} };

export class WriterContext {
  readonly db: Db;
  readonly log: LogIdentity;
  readonly clock: Clock;
  /** Who decides, and within what time. */
  readonly rules: AuthorityRules;
  readonly grantSettings: GrantSettings;
  /** Where notices go out. */
  readonly channels: readonly NoticeChannel[];
  readonly ledger: Ledger;
  /** Counts the commits that changed policy. A decision made at another epoch must be made again. */
  epoch = 0;
  /** Changes of policy in the transaction that is open. */
  changes: PolicyChange[] = [];
  /** Requests that have no outcome yet, as far as this process admitted them. */
  readonly open = new ShortLivedMap<OpenRequest>();
  /** What the journal holds and the database does not yet. */
  readonly backlog = new Backlog();
  /** Of the tree over what the tiles cover; undefined until that was read, or where it is uncertain. */
  edge: TreeEdge | undefined;
  /** Whether operations write into memory, for the journal, and not into a transaction of the database. */
  #journalling = false;
  #next = 0;
  #indexed = 0;
  #host = '';
  /** How to take back what the open commit changed in memory, oldest first. */
  readonly #takeBack: (() => void)[] = [];

  constructor(
    db: Db,
    log: LogIdentity,
    clock: Clock,
    rules: AuthorityRules,
    grantSettings: GrantSettings = NO_GRANT_SETTINGS,
    channels: readonly NoticeChannel[] = [],
  ) {
    this.db = db;
    this.rules = rules;
    this.grantSettings = grantSettings;
    this.channels = channels;
    this.log = log;
    this.clock = clock;
    this.ledger = new Ledger(db, (takeBack) => this.changedMemory(takeBack));
    this.reload();
  }

  /** Forgets what memory holds of uncommitted work. Called after a transaction or savepoint was undone. */
  reload(): void {
    const last = this.db
      .select({ idx: max(entries.idx) })
      .from(entries)
      .get()?.idx;
    this.#indexed = last === null || last === undefined ? 0 : last + 1;
    this.#next = this.#indexed + this.backlog.size;
    this.#host = readMeta(this.db, 'host_lab') ?? '';
    this.edge = undefined;
    this.#takeBackTo(0);
  }

  /** Number of entries in the log, those of the open commit included. */
  get size(): number {
    return this.#next;
  }

  /** Number of entries that the database holds without its open transaction: those whose indexes are written. */
  get indexed(): number {
    return this.#indexed;
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
      backlog: this.backlog.mark(),
      edge: this.edge,
    };
  }

  /** Sets memory back to where it stood before what was undone in the database. */
  rewind(to: Mark): void {
    this.#next = to.size;
    this.#host = to.host;
    this.changes.length = to.changes;
    this.epoch = to.epoch;
    this.edge = to.edge;
    this.backlog.rewind(to.backlog);
    this.#takeBackTo(to.takeBack);
  }

  /** Notes how to take a change of memory back, should the database undo what it goes with. */
  changedMemory(takeBack: () => void): void {
    this.#takeBack.push(takeBack);
  }

  /**
   * Runs operations for the journal: what they write goes into memory, and nothing into the database.
   *
   * @throws NeedsDatabase when one of them asks for the database; what they wrote is to be taken back then
   */
  journalling<T>(work: () => T): T {
    this.#journalling = true;
    try {
      return work();
    } finally {
      this.#journalling = false;
    }
  }

  /** Said by whoever reads rows that can be in the backlog still. */
  needDatabase(): void {
    if (this.#journalling) throw new NeedsDatabase();
  }

  /** The journal's frame is durable: what memory holds stands. */
  keepJournalled(): void {
    this.#takeBack.length = 0;
  }

  /** The transaction is durable: what memory holds stands, and nothing is left to be carried over. */
  keep(): void {
    this.#takeBack.length = 0;
    this.#indexed = this.#next;
    this.ledger.keep();
    this.backlog.clear();
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

  /**
   * The same for what is written already.
   *
   * @param salt what stands beside it in the row of its request
   */
  appendWritten(entry: WrittenEntry, salt?: Uint8Array): number {
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
    const leaf = leafHash(bytes);
    if (this.#journalling) this.backlog.add({ index, entry, leaf, bytes, salt });
    else insertEntry(this.db, { index, entry, leaf, bytes });
    this.#next = index + 1;
    return index;
  }

  /** Takes an entry over that the journal held at the last end of the process, as it is. */
  redo(entry: PlacedEntry): void {
    insertEntry(this.db, entry);
    this.#next = entry.index + 1;
  }

  /** Writes the row of a request that begins. */
  openRow(request: OpenRequest, salt: Uint8Array): void {
    if (this.#journalling) this.backlog.opened(request, salt);
    else insertRow(this.db, request, salt);
  }

  /** Writes into its row how a request ended. */
  closeRow(requestId: string, closing: Closing): void {
    if (this.#journalling) this.backlog.closed(requestId, closing);
    else closeRow(this.db, requestId, closing);
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
