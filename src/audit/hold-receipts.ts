/** Holds a statement of the log against the receipts that were kept: does it count exactly these calls? No I/O. */
import {
  COUNTED_KINDS,
  contradictions,
  isWithin,
  type HeldEntry,
  type HeldFilter,
  type HeldStatement,
} from './hold-statements.ts';
import type { ReceiptReport, ReceivedEntry } from './verify-receipt.ts';

export type { HeldEntry, HeldStatement };

/** A receipt, checked. */
export type HeldReceipt = ReceiptReport & { file: string };

/** What is asked, and by whom. */
export interface Holder extends HeldFilter {
  /** Who asks, by their own profile. */
  self: string;
  /**
   * Whose calls they may see beside their own, by the word of the broker: it is believed as far as that something could
   * not be held, and no further.
   */
  reach: 'self' | 'all' | { lab: string };
}

/** What comes of it. */
export interface Holding {
  /** Receipts that say what the statement says, each once. */
  agreeing: number;
  /** Files with a receipt that another has, too. */
  again: string[];
  /** Receipts of entries from behind the checkpoint of the statement, which must not be: see `behind`. */
  newer: string[];
  /** Entries by the largest checkpoint of the receipts, where that of the statement is smaller; else undefined. */
  behind: number | undefined;
  /** Receipts of calls that the statements were not asked of. */
  others: number;
  /** Receipts of calls of others, which the statements do not count and the broker says that whoever asks may not see. */
  beyond: string[];
  /** Receipts of what the statement does not count, or counts otherwise. */
  notCounted: { file: string; index: number; request: string | undefined }[];
  /** What the statement counts and no receipt shows. */
  withoutReceipt: HeldEntry[];
  /** Entries of refusals that were recorded together: nobody kept a receipt of any of them. */
  together: number;
  /** Receipts that are not sound. */
  unsound: { file: string; status: ReceiptReport['status']; problem: string }[];
  /** Statements that do not say what the entries they count come to. */
  contradictions: string[];
}

/** Of refusals that were recorded together: of an entry that was archived, the request is not told either. */
export const isTogether = ({ kind }: Pick<HeldEntry, 'kind'>): boolean =>
  kind === 'request.denied_repeatedly';

/**
 * Holds statements against receipts.
 *
 * @param checkpoint of the statements
 * @param statements those that were asked for
 * @param listed all entries that they count
 * @param receipts that were kept before the statements were asked for
 * @param fetched receipts of entries of which nobody keeps one, fetched afterwards
 */
export function holdReceipts(
  { origin, size }: { origin: string; size: number },
  holder: Holder,
  statements: readonly HeldStatement[],
  listed: readonly HeldEntry[],
  receipts: readonly HeldReceipt[],
  fetched: readonly HeldReceipt[],
): Holding {
  const largest = Math.max(
    ...receipts.filter((one) => isProven(one) && one.origin === origin).map((one) => one.size ?? 0),
    0,
  );
  const holding: Holding = {
    agreeing: 0,
    again: [],
    newer: [],
    behind: largest > size ? largest : undefined,
    others: 0,
    beyond: [],
    notCounted: [],
    withoutReceipt: [],
    together: listed.filter(isTogether).length,
    unsound: [],
    contradictions: [],
  };
  const byIndex = new Map(listed.map((entry) => [entry.index, entry]));
  const shown = new Map<number, ReceivedEntry>();
  const subjects = new Set<string>();
  for (const receipt of [...receipts, ...fetched]) {
    const { file, status, problem = '' } = receipt;
    if (status !== 'sound') holding.unsound.push({ file, status, problem });
    // Of one that is incomplete, what it has is proven all the same.
    if (!isProven(receipt)) continue;
    const asked = receipt.entries.filter((entry) => isAsked(entry, holder));
    if (asked.length === 0) holding.others += 1;
    let agrees = status === 'sound' && asked.length > 0 && receipts.includes(receipt);
    for (const entry of asked) {
      const { index, leaf, ref } = entry;
      if (receipt.origin === origin && byIndex.get(index)?.leaf === leaf) {
        shown.set(index, entry);
        continue;
      }
      agrees = false;
      if (index >= size) holding.newer.push(file);
      else if (isBeyond(entry, holder)) holding.beyond.push(file);
      else holding.notCounted.push({ file, index, request: ref });
    }
    if (!agrees) continue;
    const subject = JSON.stringify(receipt.of);
    if (subjects.has(subject)) holding.again.push(file);
    else holding.agreeing += 1;
    subjects.add(subject);
  }
  holding.withoutReceipt = listed.filter(({ index }) => !shown.has(index));
  holding.contradictions = contradictions(size, holder, statements, listed, shown);
  return holding;
}

const isProven = ({ status }: ReceiptReport): boolean =>
  status === 'sound' || status === 'incomplete';

/** Whether an entry is of a call that the statements are of. */
function isAsked({ kind, person, run, committedAt }: ReceivedEntry, asked: HeldFilter): boolean {
  return (
    COUNTED_KINDS.includes(kind) && isWithin({ person, run, day: committedAt.slice(0, 10) }, asked)
  );
}

/** Whether the broker says that whoever asks may not see an entry. Their own, they may, whatever it says. */
const isBeyond = ({ person, lab }: ReceivedEntry, { self, reach }: Holder): boolean =>
  person !== self && reach !== 'all' && (reach === 'self' || lab !== reach.lab);
