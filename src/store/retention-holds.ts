/** What needs entries of the log to stay, for as long as it is open. Used by the writer and by readers alike. */
import { isNull, ne } from 'drizzle-orm';
import type { EntrySearch } from '../core/audit/entry-search.ts';
import { RESUMABLE_MS, exportedDataSchema } from '../core/audit/exports.ts';
import { readRawEntry } from '../core/audit/raw-entry.ts';
import type { Hold, RetentionPolicy } from '../core/audit/retention.ts';
import type { Db } from './database.ts';
import type { StoredEntry } from './entry-index.ts';
import { readForwardCursors } from './forward-rows.ts';
import { prepared } from './prepared.ts';
import { minimumIndex } from './prunings.ts';
import { disputes, incidents, orders } from './schema.ts';
import { searchEntries } from './search-entries.ts';

/** What the database of the log does not know. */
export interface Outside {
  /** Epoch milliseconds. */
  now: number;
  /** Whom the log is forwarded to, and the first entry that each may not have. */
  receivers: readonly { id: string; next: number }[];
  /** When the oldest transcript that is kept was written; undefined: none is. */
  oldestTranscript: number | undefined;
}

/**
 * What needs entries to stay, each with the first one of those that it needs.
 *
 * @param size of the log
 */
export function retentionHolds(
  db: Db,
  size: number,
  policy: RetentionPolicy,
  outside: Outside,
): Hold[] {
  const { now, receivers, oldestTranscript } = outside;
  const holds: Hold[] = [];
  const begins = minimumIndex(db);
  const hold = (why: Hold['why'], index: number | undefined, id?: string): void => {
    // What is pruned already needs nothing to stay.
    if (index !== undefined && begins <= index && index < size) holds.push({ why, index, id });
  };
  // What the log took at that moment is not older than the policy asks for.
  hold('too_new', firstSince(db, now - policy.archiveAfterMs + 1, size));
  if (oldestTranscript !== undefined)
    hold('transcripts', firstSince(db, oldestTranscript - TRANSCRIPT_SLACK_MS, size));
  const open = db.select().from(incidents).where(ne(incidents.state, 'closed')).all();
  for (const { id, record } of open) {
    hold('incident', firstAbout(db, id), id);
    // Removed links, too: whoever prunes could remove them.
    for (const { order, entry } of record.links) {
      if (entry !== undefined) hold('incident', entry, id);
      if (order !== undefined) hold('incident', firstAbout(db, order), id);
    }
  }
  for (const { id } of db.select().from(orders).where(isNull(orders.endedAt)).all())
    hold('order', firstAbout(db, id), id);
  for (const { id, orderId } of db.select().from(disputes).where(isNull(disputes.outcome)).all()) {
    hold('dispute', firstAbout(db, orderId), id);
    hold('dispute', firstAbout(db, id), id);
  }
  for (const id of openRequests(db).all()) hold('request', firstAbout(db, id), id);
  for (const { id, from } of unfinishedExports(db, now, size)) hold('export', from, id);
  const noted = readForwardCursors(db);
  for (const { id, next } of receivers)
    hold('forwarding', Math.min(next, noted.get(id) ?? next), id);
  return holds;
}

/** A transcript is written a moment before its intent is. */
const TRANSCRIPT_SLACK_MS = 60_000;

const openRequests = prepared((db) =>
  db.$client.prepare<[], string>("SELECT id FROM requests WHERE state = 'open'").pluck(),
);

const about = prepared((db) =>
  db.$client
    .prepare<[string, number], number | null>(
      'SELECT min(idx) FROM entries_by_ref WHERE ref = ? AND idx >= ?',
    )
    .pluck(),
);

/**
 * The first entry about something that is not pruned. What the index of pairs lacks is less than a step of the newest
 * entries, which are never pruned.
 */
const firstAbout = (db: Db, ref: string): number | undefined =>
  about(db).get(ref, minimumIndex(db)) ?? undefined;

/** The first entry that the log took at a moment or later: those in front of it are all older, whatever the clock did. */
function firstSince(db: Db, since: number, size: number): number | undefined {
  for (const { index } of found(db, { since }, size)) return index;
  return undefined;
}

/** Exports that can be resumed, and were not read to their end. Archives are not needed once there is a whole one. */
function* unfinishedExports(
  db: Db,
  now: number,
  size: number,
): Generator<{ id: string; from: number }> {
  const recent: EntrySearch = { kind: ['audit.exported'], since: now - RESUMABLE_MS };
  for (const { bytes } of found(db, recent, size)) {
    const { ref: id, data } = readRawEntry(bytes);
    const said = exportedDataSchema.safeParse(data).data;
    if (id === undefined || !said || said.format === 'archive') continue;
    const [done] = found(db, { kind: ['audit.export_completed'], ref: id }, size);
    if (!done) yield { id, from: said.from };
  }
}

/** What a search finds, however many pages that takes. */
function* found(db: Db, search: EntrySearch, size: number): Generator<StoredEntry> {
  const range = { direction: 'oldest first', below: size, limit: 100 } as const;
  for (let from: number | undefined = 0; from !== undefined;) {
    const page = searchEntries(db, search, { ...range, from }, size);
    yield* page.found;
    from = page.next;
  }
}
