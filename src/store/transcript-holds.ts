/** What is not destroyed, because an incident that is not closed has to do with it; and destructions that are under way. */
import { and, asc, desc, eq, isNull, ne } from 'drizzle-orm';
import { partsOf } from '../core/orders/selector.ts';
import { keepingOf } from '../core/transcripts/keeping.ts';
import type { Recipients } from '../core/transcripts/recipients.ts';
import type { Db } from './database.ts';
import {
  entries,
  grantVersions,
  grants,
  incidents,
  orders,
  transcriptDestructions,
} from './schema.ts';

/** What of a grant's transcripts is held. */
export interface TranscriptHold {
  /** An incident has an order that is about the grant: all of it. */
  all: boolean;
  /** Requests of which an incident has an entry. */
  requests: string[];
}

/** What incidents that are not closed hold of a grant's transcripts. */
export function transcriptHold(db: Db, grantId: string): TranscriptHold {
  const labId = db.select().from(grants).where(eq(grants.id, grantId)).get()?.labId;
  const open = db.select().from(incidents).where(ne(incidents.state, 'closed')).all();
  const links = open
    .flatMap(({ record }) => record.links)
    .filter(({ removed }) => removed === null);
  const held = new Set<string>();
  let all = false;
  for (const { order, entry } of links) {
    if (order !== undefined) all ||= isAbout(db, order, grantId, labId);
    if (entry === undefined) continue;
    const found = db.select().from(entries).where(eq(entries.idx, entry)).get();
    if (found?.grantId !== grantId) continue;
    if (found.ref !== null && found.kind.startsWith('request.')) held.add(found.ref);
  }
  return { all, requests: [...held].sort((a, b) => a.localeCompare(b)) };
}

/** Whether an order can be about calls under a grant: of what else it names, nobody asks. */
function isAbout(db: Db, orderId: string, grantId: string, labId: string | undefined): boolean {
  const order = db.select().from(orders).where(eq(orders.id, orderId)).get();
  if (!order) return false;
  const { grant = grantId, lab = labId } = partsOf(order.spec.selector);
  return grant === grantId && lab === labId;
}

export type TranscriptDestruction = typeof transcriptDestructions.$inferSelect;

/** Destructions that are on record and not finished, oldest first. */
export const unfinishedDestructions = (db: Db): TranscriptDestruction[] =>
  db
    .select()
    .from(transcriptDestructions)
    .where(isNull(transcriptDestructions.finishedAt))
    .orderBy(asc(transcriptDestructions.begunAt))
    .all();

/** Everything that was to be destroyed of a grant. */
export const destructionsOf = (db: Db, grantId: string): TranscriptDestruction[] =>
  db.select().from(transcriptDestructions).where(eq(transcriptDestructions.grantId, grantId)).all();

/** How long what is written under a version of a grant is kept; undefined: there is no such version. */
export function transcriptRetentionMs(db: Db, id: string, version: number): number | undefined {
  const isIt = and(eq(grantVersions.grantId, id), eq(grantVersions.version, version));
  const found = db.select().from(grantVersions).where(isIt).get();
  return found && keepingOf({ id, version, spec: found.spec })?.keepMs;
}

/** Everyone whom a version of a grant had its transcripts sealed to, newest first. */
export const transcriptHolders = (db: Db, grantId: string): Recipients =>
  db
    .select({ spec: grantVersions.spec })
    .from(grantVersions)
    .where(eq(grantVersions.grantId, grantId))
    .orderBy(desc(grantVersions.version))
    .all()
    .flatMap(({ spec }) => spec.transcriptRecipients ?? []);
