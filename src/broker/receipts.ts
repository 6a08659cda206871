/** Receipts of requests, and proofs of single entries: within the reader's reach, and on record. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { HashAt } from '../core/audit/merkle.ts';
import { inclusionProof } from '../core/audit/proofs.ts';
import { formatReceipt, type ProvenEntry, type ReceiptOf } from '../core/audit/receipt.ts';
import { hashesFromTiles } from '../core/audit/tiles.ts';
import { formatTlogProof } from '../core/audit/tlog-proof.ts';
import { refuseArchived } from '../core/audit/archived.ts';
import { refuse } from '../core/denials.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { EntryFilter } from '../store/readers.ts';
import type { Broker } from './broker.ts';
import { coveringCheckpoint } from './covering-checkpoint.ts';
import { mayRead } from './reach.ts';
import { archivesOf } from './retention.ts';
import { recordReading } from './record-reading.ts';

/** The kinds of entry that a request leaves under its own id. */
const OF_REQUESTS = ['request.intent', 'request.outcome', 'request.denied', 'request.answered'];

/** More than a request leaves. */
const MOST_OF_REQUEST = 32;

const NOT_THERE =
  'There is no such entry, or you may not see it. A request that was refused without a token, or after many refusals within a minute, has no entry of its own.';

/**
 * The receipt of a request or of one entry. The reading is itself an entry, written before anything is shown.
 *
 * @returns the text of the receipt
 * @throws RefusedError `not_found`; `entry_archived`; `log_unavailable` where no checkpoint covers the entry
 */
export async function readReceipt(broker: Broker, actorId: string, of: ReceiptOf): Promise<string> {
  const { receipts } = await readReceipts(broker, actorId, [of]);
  const [one] = receipts;
  if (one) return one.receipt;
  const begins = broker.readers.minimumIndex();
  if ('entry' in of && of.entry < begins) refuseArchived(archivesOf(broker), of.entry);
  const archived =
    begins === 0 ? '' : ` Entries below ${begins} were archived, and are not in this broker.`;
  return refuse('not_found', `${NOT_THERE}${archived}`);
}

interface MadeReceipt {
  of: ReceiptOf;
  receipt: string;
}

/**
 * Receipts of several requests or entries, all of which lead to one checkpoint. Those that are not there, or not to be
 * seen by the reader, are left out.
 */
export async function readReceipts(
  broker: Broker,
  actorId: string,
  asked: readonly ReceiptOf[],
): Promise<{ receipts: MadeReceipt[] }> {
  await broker.store.caughtUp();
  const reader = mayRead(broker, actorId, 'log.read');
  const found = asked
    .map((of) => ({ of, entries: entriesOf(broker, reader.bounds, of) }))
    .filter(({ entries }) => entries.length > 0);
  await recordReading(broker, reader, { receipts: asked.map(nameOf), found: found.length });
  const indexes = found.flatMap(({ entries }) => entries.map(({ index }) => index));
  if (indexes.length === 0) return { receipts: [] };
  const checkpoint = await coveringCheckpoint(broker, Math.max(...indexes));
  const hashes = remembered(hashesFromTiles(checkpoint.size, broker.readers.readTile));
  const receipts: MadeReceipt[] = [];
  for (const { of, entries } of found) {
    const parts = proven(entries, checkpoint.size, hashes);
    receipts.push({ of, receipt: formatReceipt(of, parts, checkpoint.note) });
    // Others of this process wait meanwhile.
    await nextTurn();
  }
  return { receipts };
}

/**
 * The proof of one entry, alone.
 *
 * @returns the text of a `.tlog-proof`
 * @throws as {@link readReceipt}
 */
export async function readProof(broker: Broker, actorId: string, index: number): Promise<string> {
  await broker.store.caughtUp();
  const reader = mayRead(broker, actorId, 'log.read');
  // Of an entry that was pruned, its hash is left, which anybody can read.
  const isPruned = index < broker.readers.minimumIndex();
  const isThere = isPruned || entriesOf(broker, reader.bounds, { entry: index }).length > 0;
  await recordReading(broker, reader, { proof: index, found: isThere ? 1 : 0 });
  if (!isThere) return refuse('not_found', NOT_THERE);
  const { size, note } = await coveringCheckpoint(broker, index);
  const hashes = hashesFromTiles(size, broker.readers.readTile);
  return formatTlogProof(index, inclusionProof(index, size, hashes), note);
}

const nameOf = (of: ReceiptOf): string | number => ('request' in of ? of.request : of.entry);

function entriesOf(
  { readers }: Broker,
  bounds: Pick<EntryFilter, 'labId' | 'personId'>,
  of: ReceiptOf,
): StoredEntry[] {
  if ('entry' in of) {
    const one = readers.readEntry(of.entry, bounds);
    return one ? [one] : [];
  }
  // Others refer to it, too, as often as they like.
  const ofRequest = { ref: of.request, kind: OF_REQUESTS };
  return readers.listEntries({ from: 0, limit: MOST_OF_REQUEST, ...ofRequest, ...bounds });
}

function proven(entries: readonly StoredEntry[], size: number, hashes: HashAt): ProvenEntry[] {
  return entries.map(({ index, bytes }) => ({
    index,
    bytes,
    proof: inclusionProof(index, size, hashes),
  }));
}

/** The same hashes, each computed once: proofs of one tree have most of theirs in common. */
function remembered(hashAt: HashAt): HashAt {
  const known = new Map<string, Uint8Array>();
  return (level, index) => {
    const key = `${level}/${index}`;
    const hash = known.get(key) ?? hashAt(level, index);
    known.set(key, hash);
    return hash;
  };
}
