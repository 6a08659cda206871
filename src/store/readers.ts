/** Reads for the API, through a connection that cannot write. The proxied path reads only memory. */
import { and, asc, desc, eq, gt, gte, inArray, isNull, lt } from 'drizzle-orm';
import type { WitnessPolicy } from '../core/audit/witnessing.ts';
import type { ReadTile } from '../core/audit/tiles.ts';
import type { Hold } from '../core/audit/retention.ts';
import type { Delivery, DeliveryState } from '../core/deliveries.ts';
import type { Grant } from '../core/grants.ts';
import type { Incident } from '../core/incidents/incident.ts';
import type { Invitation } from '../core/invitations.ts';
import { NOTHING_CHARGED, type Charged } from '../core/limits.ts';
import type { Duty } from '../core/duties.ts';
import type { Dispute } from '../core/orders/disputes.ts';
import type { Order } from '../core/orders/order.ts';
import type { Lab, Person } from '../core/people.ts';
import type { Recipients } from '../core/transcripts/recipients.ts';
import type { Purpose } from '../core/vocabulary.ts';
import type { SigningKeyRecord } from '../core/signing-keys.ts';
import { countPutOff, itemsDue, type AgendaItem } from './agenda.ts';
import type { LiveToken } from './context.ts';
import { CallReader } from './call-index.ts';
import { openForReading, type Db } from './database.ts';
import { readDayUse, type DayUse } from './day-use.ts';
import { findsAll, type EntrySearch } from '../core/audit/entry-search.ts';
import { entriesFrom, mustHaveAll, type StoredEntry } from './entry-index.ts';
import { readForwardBatch, readForwardCursors, type ForwardBatch } from './forward-rows.ts';
import {
  channelsDue,
  countDeliveries,
  deliveriesDue,
  listDeliveries,
  type DeliveryFilter,
  type ListedDelivery,
} from './list-deliveries.ts';
import { listDisputes, type DisputeFilter } from './list-disputes.ts';
import { listDuties, readDuty, type DutyFilter } from './list-duties.ts';
import { listIncidents, readIncident, type IncidentFilter } from './incident-rows.ts';
import { listInvitations, openInvitationsOnto, type InvitationFilter } from './list-invitations.ts';
import {
  listNotices,
  readNotice,
  type AcknowledgedNotice,
  type NoticeFilter,
} from './list-notices.ts';
import { listRuns, type RunFilter, type RunRow } from './list-runs.ts';
import { listTokens, type TokenFilter, type TokenRow } from './list-tokens.ts';
import { readLogKeys, type LogKeyRow } from './log-key-rows.ts';
import { maybe, type PageRequest, type Searched } from './page.ts';
import { prepared } from './prepared.ts';
import { minimumIndex, readPrunings, type Pruning } from './prunings.ts';
import { arePrunedLeft } from './remove-pruned.ts';
import { retentionHolds } from './retention-holds.ts';
import {
  readMeta,
  readGrant,
  readGrants,
  labsTold,
  readInvitation,
  readOrdersInForce,
  readPeople,
  toOrder,
} from './records.ts';
import {
  disputes,
  orderAcknowledgements,
  charges,
  checkpoints,
  entries,
  grants,
  labs,
  orders,
  people,
  personKeys,
  requests,
  runs,
  tokens,
} from './schema.ts';
import { searchEntries, type FoundEntries, type SearchRange } from './search-entries.ts';
import { coveredUpTo } from './search-index.ts';
import {
  checkpointUpTo,
  lastCosignature,
  listSplitViews,
  newestWitnessed,
  readShown,
  readWatched,
  withCosignatures,
  type CheckpointRow,
  type CosignatureRow,
  type ShownRow,
  type SplitViewFilter,
  type SplitViewRow,
  type WatchedRow,
} from './witness-rows.ts';
import { countLiveTokens, readSigningKeys } from './signing-key-rows.ts';
import {
  destructionsOf,
  transcriptRetentionMs,
  transcriptHold,
  transcriptHolders,
  unfinishedDestructions,
  type TranscriptDestruction,
  type TranscriptHold,
} from './transcript-holds.ts';

export interface EntryFilter {
  from: number;
  limit: number;
  ref?: string | undefined;
  kind?: string | readonly string[] | undefined;
  grantId?: string | undefined;
  /** Bounds of what the reader may see. */
  labId?: string | undefined;
  personId?: string | undefined;
}

/** A proof reads some of them, a statement thousands. */
const tileAt = prepared((db) =>
  db.$client
    .prepare<[number, number], Buffer>('SELECT hashes FROM tiles WHERE level = ? AND n = ?')
    .pluck(),
);

/** Everything that decisions on the proxied path rest on. */
export interface PolicyRecords {
  labs: Lab[];
  people: Person[];
  grants: Grant[];
  ordersInForce: Order[];
  liveTokens: LiveToken[];
}

type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never;

export class Readers {
  readonly #db: Db;

  constructor(path: string) {
    this.#db = openForReading(path);
  }

  close(): void {
    this.#db.$client.close();
  }

  hostLabId(): string | undefined {
    return readMeta(this.#db, 'host_lab');
  }

  readPolicy(now: number): PolicyRecords {
    const db = this.#db;
    return {
      labs: db.select().from(labs).all(),
      people: readPeople(db, db.select().from(people).all()),
      grants: readGrants(db, db.select().from(grants).all()),
      ordersInForce: readOrdersInForce(db),
      liveTokens: db.select().from(tokens).where(gt(tokens.expiresAt, now)).all(),
    };
  }

  listDuties(page: PageRequest, filter: DutyFilter): Duty[] {
    return listDuties(this.#db, page, filter);
  }

  readDuty(id: string): Duty | undefined {
    return readDuty(this.#db, id);
  }

  listLabs({ after, limit }: PageRequest): Lab[] {
    return this.#db
      .select()
      .from(labs)
      .where(after === undefined ? undefined : gt(labs.id, after))
      .orderBy(asc(labs.id))
      .limit(limit)
      .all();
  }

  listPeople({ after, limit }: PageRequest, filter: { labId?: string | undefined }): Person[] {
    const rows = this.#db
      .select()
      .from(people)
      .where(
        and(
          maybe(after, (id) => gt(people.id, id)),
          maybe(filter.labId, (id) => eq(people.labId, id)),
        ),
      )
      .orderBy(asc(people.id))
      .limit(limit)
      .all();
    return readPeople(this.#db, rows);
  }

  /** Every key that is or was a person's. */
  listPersonKeys(): { kid: string; personId: string; x: string }[] {
    return this.#db.select().from(personKeys).all();
  }

  readInvitation(id: string): Invitation | undefined {
    return readInvitation(this.#db, id);
  }

  /** Newest first. */
  listInvitations(page: PageRequest, filter: InvitationFilter): Invitation[] {
    return listInvitations(this.#db, page, filter);
  }

  openInvitationsOnto(grantId: string, now: number): Invitation[] {
    return openInvitationsOnto(this.#db, grantId, now);
  }

  readGrant(id: string): Grant | undefined {
    return readGrant(this.#db, id);
  }

  /** Newest first. */
  listGrants(
    { after, limit }: PageRequest,
    filter: { labId?: string | undefined; state?: Grant['state'] | undefined },
  ): Grant[] {
    const rows = this.#db
      .select()
      .from(grants)
      .where(
        and(
          maybe(after, (id) => lt(grants.id, id)),
          maybe(filter.labId, (id) => eq(grants.labId, id)),
          maybe(filter.state, (state) => eq(grants.state, state)),
        ),
      )
      .orderBy(desc(grants.id))
      .limit(limit)
      .all();
    return readGrants(this.#db, rows);
  }

  readOrder(id: string): Order | undefined {
    const row = this.#db.select().from(orders).where(eq(orders.id, id)).get();
    return row && toOrder(row);
  }

  /** The order that took the place of another. */
  orderReplacing(id: string): Order | undefined {
    const row = this.#db.select().from(orders).where(eq(orders.replaces, id)).get();
    return row && toOrder(row);
  }

  /** Newest first. */
  listOrders({ after, limit }: PageRequest, filter: { inForce?: boolean | undefined }): Order[] {
    return this.#db
      .select()
      .from(orders)
      .where(
        and(
          maybe(after, (id) => lt(orders.id, id)),
          filter.inForce ? isNull(orders.endedAt) : undefined,
        ),
      )
      .orderBy(desc(orders.id))
      .limit(limit)
      .all()
      .map(toOrder);
  }

  /** Who took notice of an order. */
  listAcknowledgements(orderId: string): (typeof orderAcknowledgements.$inferSelect)[] {
    return this.#db
      .select()
      .from(orderAcknowledgements)
      .where(eq(orderAcknowledgements.orderId, orderId))
      .orderBy(asc(orderAcknowledgements.at))
      .all();
  }

  /** The order that an objection is to. */
  orderOfDispute(id: string): string | undefined {
    const { orderId } = disputes;
    return this.#db.select({ orderId }).from(disputes).where(eq(disputes.id, id)).get()?.orderId;
  }

  /** Objections to an order, oldest first. */
  disputesAbout(orderId: string): Dispute[] {
    return this.#db
      .select()
      .from(disputes)
      .where(eq(disputes.orderId, orderId))
      .orderBy(asc(disputes.id))
      .all();
  }

  listDisputes(page: PageRequest, filter: DisputeFilter): Dispute[] {
    return listDisputes(this.#db, page, filter);
  }

  readIncident(id: string): Incident | undefined {
    return readIncident(this.#db, id);
  }

  /** Newest first. */
  listIncidents(page: PageRequest, filter: IncidentFilter): Incident[] {
    return listIncidents(this.#db, page, filter);
  }

  /** Newest first. */
  listTokens(page: PageRequest, filter: TokenFilter): Searched<TokenRow> {
    return listTokens(this.#db, page, filter);
  }

  /** Newest first. */
  listRuns(page: PageRequest, filter: RunFilter): Searched<RunRow> {
    return listRuns(this.#db, page, filter);
  }

  /** The lab whose person holds or held a token. */
  labOfToken(id: string): string | undefined {
    const { labId } = tokens;
    return this.#db.select({ labId }).from(tokens).where(eq(tokens.id, id)).get()?.labId;
  }

  /** The lab whose grant a run is under. */
  labOfRun(id: string): string | undefined {
    return this.#db
      .select({ labId: grants.labId })
      .from(runs)
      .innerJoin(grants, eq(grants.id, runs.grantId))
      .where(eq(runs.id, id))
      .get()?.labId;
  }

  /** Whose run it is. */
  personOfRun(id: string): string | undefined {
    const { personId } = runs;
    return this.#db.select({ personId }).from(runs).where(eq(runs.id, id)).get()?.personId;
  }

  /** The run of a name under a grant and a purpose, if there is one. */
  runId(grantId: string, purpose: Purpose, name: string): string | undefined {
    return this.#db
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.grantId, grantId), eq(runs.purpose, purpose), eq(runs.name, name)))
      .get()?.id;
  }

  /** The labs that were told of an order. */
  labsTold(orderId: string): { labId: string }[] {
    return labsTold(this.#db, orderId);
  }

  runName(id: string): string | undefined {
    return this.#db.select({ name: runs.name }).from(runs).where(eq(runs.id, id)).get()?.name;
  }

  /** What a grant, and each person under it, has been charged. The person '' is the grant as a whole. */
  readCharges(grantId: string): { personId: string; charged: Charged }[] {
    const rows = this.#db.select().from(charges).where(eq(charges.grantId, grantId)).all();
    const list = rows.map((row) => ({
      personId: row.personId,
      charged: {
        requestsSettled: row.requestsSettled,
        requestsReserved: row.requestsReserved,
        tokensSettled: row.tokensSettled,
        tokensReserved: row.tokensReserved,
        spendSettledNanoUsd: row.spendSettledNano,
        spendReservedNanoUsd: row.spendReservedNano,
      },
    }));
    return list.length > 0 ? list : [{ personId: '', charged: NOTHING_CHARGED }];
  }

  /** What was charged in the last day, by person. */
  readDayUse(grantId: string, now: number): Map<string, DayUse> {
    return readDayUse(this.#db, grantId, now);
  }

  /** Newest first. */
  listSigningKeys(): SigningKeyRecord[] {
    return readSigningKeys(this.#db);
  }

  /** How many live tokens each key signed; keys without any are absent. */
  countTokensBySigningKey(now: number): Map<string, number> {
    return countLiveTokens(this.#db, now);
  }

  /** Newest first. */
  listNotices(page: PageRequest, filter: NoticeFilter): AcknowledgedNotice[] {
    return listNotices(this.#db, page, filter);
  }

  readNotice(id: string): AcknowledgedNotice | undefined {
    return readNotice(this.#db, id);
  }

  /** Newest first. */
  listDeliveries(page: PageRequest, filter: DeliveryFilter): ListedDelivery[] {
    return listDeliveries(this.#db, page, filter);
  }

  /** The channels that something is to be delivered through by now. */
  channelsDue(now: number): string[] {
    return channelsDue(this.#db, now);
  }

  /** What is to be delivered through a channel by now, longest due first. */
  deliveriesDue(channel: string, now: number, limit: number): Delivery[] {
    return deliveriesDue(this.#db, channel, now, limit);
  }

  countDeliveries(state: DeliveryState): number {
    return countDeliveries(this.#db, state);
  }

  /** What the broker has to do by itself by now, oldest first. */
  itemsDue(now: number, limit: number): AgendaItem[] {
    return itemsDue(this.#db, now, limit);
  }

  /** How much of that failed at its last attempt. */
  countPutOff(): number {
    return countPutOff(this.#db);
  }

  openRequests(): number {
    return this.#db.$client
      .prepare("SELECT count(*) FROM requests WHERE state = 'open'")
      .pluck()
      .get() as number;
  }

  logSize(): number {
    const last = this.#db
      .select({ idx: entries.idx })
      .from(entries)
      .orderBy(desc(entries.idx))
      .limit(1)
      .get();
    return last ? last.idx + 1 : 0;
  }

  /** The log's minimum index: entries below it are in archives. */
  minimumIndex(): number {
    return minimumIndex(this.#db);
  }

  /** What was archived and pruned, oldest first. */
  listPrunings(): Pruning[] {
    return readPrunings(this.#db);
  }

  /** Whether rows of entries are left that were pruned. */
  arePrunedLeft(): boolean {
    return arePrunedLeft(this.#db);
  }

  /** What needs entries to stay. */
  retentionHolds(...args: Tail<Parameters<typeof retentionHolds>>): Hold[] {
    return retentionHolds(this.#db, ...args);
  }

  readEntry(
    index: number,
    bounds: { labId?: string | undefined; personId?: string | undefined } = {},
  ): StoredEntry | undefined {
    return this.listEntries({ from: index, limit: 1, ...bounds }).find(
      (entry) => entry.index === index,
    );
  }

  /** In the order of the log, however long it takes to find them: for what is asked of recent entries, or by `ref`. */
  listEntries({ from, limit, ref, kind, grantId, labId, personId }: EntryFilter): StoredEntry[] {
    const kinds = kind === undefined ? undefined : [kind].flat();
    const about = { ref, kind: kinds, grant: grantId, lab: labId, person: personId };
    const found: StoredEntry[] = [];
    for (let start: number | undefined = from; start !== undefined && found.length < limit;) {
      const range = { from: start, below: Infinity, limit: limit - found.length };
      const page = this.searchEntries(about, { ...range, direction: 'oldest first' });
      found.push(...page.found);
      start = page.next;
    }
    return found;
  }

  /** One page of a search. However large the log is, it takes no longer than any other. */
  searchEntries(search: EntrySearch, range: SearchRange): FoundEntries {
    return searchEntries(this.#db, search, range, this.logSize());
  }

  /** Number of entries, from the first on, that searches find by the index; later ones are looked through. */
  searchIndexCovers(): number {
    return coveredUpTo(this.#db);
  }

  /** Outcomes of requests that an order ended, among the entries `from` to `to - 1`. Reads all of them. */
  listOutcomesOf(orderId: string, from: number, to: number): StoredEntry[] {
    return this.#db.$client
      .prepare<unknown[], StoredEntry>(
        `SELECT idx AS "index", bytes FROM entries WHERE idx >= ? AND idx < ?
         AND kind = 'request.outcome' AND instr(bytes, CAST(? AS BLOB)) > 0 ORDER BY idx`,
      )
      .all(from, to, JSON.stringify(orderId));
  }

  /** The entries `from` to `to - 1`, a batch at a time: a log of any size in bounded memory. */
  *entryBatches(from: number, to: number, batch: number): Generator<Buffer[]> {
    for (let start = from; start < to; start += batch) {
      yield this.#db
        .select({ bytes: entries.bytes })
        .from(entries)
        .where(and(gte(entries.idx, start), lt(entries.idx, Math.min(to, start + batch))))
        .orderBy(asc(entries.idx))
        .all()
        .map(({ bytes }) => bytes);
    }
  }

  /** Where each receiver stands that the log was ever forwarded to: the first entry that it may not have. */
  forwardCursors(): Map<string, number> {
    return readForwardCursors(this.#db);
  }

  /** What comes next for a receiver. */
  forwardBatch(...args: Tail<Parameters<typeof readForwardBatch>>): ForwardBatch {
    return readForwardBatch(this.#db, ...args);
  }

  /** The first entry that the log holds from an index on. */
  firstEntryFrom(index: number): StoredEntry | undefined {
    return this.listEntries({ from: index, limit: 1 })[0];
  }

  /**
   * Entries of the range `from` to `to - 1` that a search finds, a batch at a time. Nothing stays open between one batch
   * and the next: whoever reads slowly holds up nobody.
   *
   * @throws MissingEntryError where an entry of the range is not there: what is short must not look whole
   */
  *entriesBetween(
    from: number,
    to: number,
    search: EntrySearch,
    batch: number,
  ): Generator<StoredEntry[]> {
    const isAny = findsAll(search);
    for (let start: number | undefined = from; start !== undefined && start < to;) {
      if (isAny) {
        const end = Math.min(to, start + batch);
        const found = entriesFrom(this.#db, start, end);
        mustHaveAll(found, start, end);
        yield found;
        start = end;
      } else {
        const part = { from: start, below: to, limit: batch } as const;
        const range = { ...part, direction: 'oldest first', isWhole: true } as const;
        const { found, next } = this.searchEntries(search, range);
        if (found.length > 0) yield found;
        start = next;
      }
    }
  }

  /** The newest checkpoint, with the cosignatures that there are of it. */
  latestCheckpoint(): { size: number; note: string; at: number } | undefined {
    return this.checkpointUpTo(Infinity);
  }

  /** The newest checkpoint of at most so many entries, with the cosignatures that there are of it. */
  checkpointUpTo(size: number): CheckpointRow | undefined {
    const row = checkpointUpTo(this.#db, size);
    return row && withCosignatures(this.#db, row);
  }

  /** The newest checkpoint that enough witnesses have cosigned. */
  newestWitnessed(policy: WitnessPolicy): CheckpointRow | undefined {
    return newestWitnessed(this.#db, policy);
  }

  lastCosignature(witnessKey: string): CosignatureRow | undefined {
    return lastCosignature(this.#db, witnessKey);
  }

  readShown(origin: string, size: number): ShownRow | undefined {
    return readShown(this.#db, origin, size);
  }

  readWatched(origin: string): WatchedRow | undefined {
    return readWatched(this.#db, origin);
  }

  /** Newest first. */
  listSplitViews(page: PageRequest, filter: SplitViewFilter): SplitViewRow[] {
    return listSplitViews(this.#db, page, filter);
  }

  /** The keys that have signed checkpoints, oldest first. */
  listLogKeys(): LogKeyRow[] {
    return readLogKeys(this.#db);
  }

  /** The checkpoint of a size, where one was signed. */
  checkpointOf(size: number): { size: number; note: string; at: number } | undefined {
    return this.#db.select().from(checkpoints).where(eq(checkpoints.size, size)).get();
  }

  /** What calls left among the first `size` entries. */
  calls(size: number): CallReader {
    return new CallReader(this.#db, size);
  }

  /** What each of these entries is about; those without a reference are absent. */
  refsOf(indexes: readonly number[]): Map<number, string> {
    const rows = this.#db
      .select({ idx: entries.idx, ref: entries.ref })
      .from(entries)
      .where(inArray(entries.idx, [...indexes]))
      .all();
    return new Map(rows.flatMap(({ idx, ref }) => (ref === null ? [] : [[idx, ref] as const])));
  }

  readonly readTile: ReadTile = (level, n) => tileAt(this.#db).get(level, n);

  /** What incidents hold of a grant's transcripts. */
  transcriptHold(grantId: string): TranscriptHold {
    return transcriptHold(this.#db, grantId);
  }

  /** Everyone whom a version of a grant had its transcripts sealed to, newest first. */
  transcriptHolders(grantId: string): Recipients {
    return transcriptHolders(this.#db, grantId);
  }

  unfinishedDestructions(): TranscriptDestruction[] {
    return unfinishedDestructions(this.#db);
  }

  /** How long transcripts under a version of a grant are kept. */
  transcriptRetentionMs(grantId: string, version: number): number | undefined {
    return transcriptRetentionMs(this.#db, grantId, version);
  }

  destructionsOf(grantId: string): TranscriptDestruction[] {
    return destructionsOf(this.#db, grantId);
  }

  /** Requests that have no outcome, oldest first. */
  openRequestIds(limit: number): string[] {
    const isOpen = eq(requests.state, 'open');
    const rows = this.#db.select({ id: requests.id }).from(requests).where(isOpen);
    return rows
      .orderBy(asc(requests.id))
      .limit(limit)
      .all()
      .map(({ id }) => id);
  }

  /** What requests were charged, by id: for reconciling the ledger with the log. */
  readRequests(ids: string[]): (typeof requests.$inferSelect)[] {
    return this.#db.select().from(requests).where(inArray(requests.id, ids)).all();
  }
}
