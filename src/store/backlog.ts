/** What the journal holds and the database does not yet: entries of the log, and rows of requests. */
import type { WrittenEntry } from '../core/audit/entry.ts';
import type { Db } from './database.ts';
import { insertEntry } from './entry-rows.ts';
import type { JournalEntry } from './journal.ts';
import { closeRow, insertRow, type Closing, type OpenRequest } from './request-rows.ts';

export interface BacklogEntry extends JournalEntry {
  index: number;
  entry: WrittenEntry;
  leaf: Buffer;
}

type RowChange =
  | { kind: 'opened'; request: OpenRequest; salt: Uint8Array }
  | { kind: 'closed'; requestId: string; closing: Closing };

interface Mark {
  entries: number;
  rows: number;
}

export class Backlog {
  #entries: BacklogEntry[] = [];
  #ids = new Set<string>();
  #rows: RowChange[] = [];

  /** Entries that wait. */
  get size(): number {
    return this.#entries.length;
  }

  /** @throws when an entry of that id waits: the database would refuse it, and too late for whoever was answered */
  add(entry: BacklogEntry): void {
    const { id } = entry.entry;
    if (this.#ids.has(id)) throw new Error(`There is an entry ${id} already.`);
    this.#ids.add(id);
    this.#entries.push(entry);
  }

  opened(request: OpenRequest, salt: Uint8Array): void {
    this.#rows.push({ kind: 'opened', request, salt });
  }

  closed(requestId: string, closing: Closing): void {
    this.#rows.push({ kind: 'closed', requestId, closing });
  }

  mark(): Mark {
    return { entries: this.#entries.length, rows: this.#rows.length };
  }

  /** Forgets what came after a mark. */
  rewind(to: Mark): void {
    for (const { entry } of this.#entries.splice(to.entries)) this.#ids.delete(entry.id);
    this.#rows.length = to.rows;
  }

  since(mark: Mark): readonly BacklogEntry[] {
    return this.#entries.slice(mark.entries);
  }

  /**
   * Writes everything into the open transaction of the database. Nothing is forgotten here: that is for when the
   * transaction is durable.
   */
  carryOver(db: Db): void {
    for (const { index, entry, leaf, bytes } of this.#entries)
      insertEntry(db, { index, entry, leaf, bytes });
    const closings = new Map<string, Closing>();
    for (const change of this.#rows)
      if (change.kind === 'closed') closings.set(change.requestId, change.closing);
    for (const change of this.#rows) {
      if (change.kind !== 'opened') continue;
      const { requestId } = change.request.facts;
      // Most requests have come and gone meanwhile: their row is written once.
      insertRow(db, change.request, change.salt, closings.get(requestId));
      closings.delete(requestId);
    }
    for (const [requestId, closing] of closings) closeRow(db, requestId, closing);
  }

  clear(): void {
    this.#entries = [];
    this.#ids = new Set();
    this.#rows = [];
  }
}
