/** Holds a statement of the log against the receipts that were kept: does it count exactly these calls? No I/O. */
import { createHash } from 'node:crypto';
import type { ReceiptReport, ReceivedEntry } from './verify-receipt.ts';

/** A statement, as the broker gave it, by its checkpoint. */
export interface HeldStatement {
  person: string;
  run: string | null;
  /** UTC. */
  day: string;
  requests: number;
  outcomes: number;
  refusals: number;
  answered: number;
  entries: number;
  /** In base64, as are leafs. */
  digest: string;
}

/** An entry that the broker says the statements count. */
export interface HeldEntry {
  person: string;
  run: string | null;
  day: string;
  index: number;
  kind: string;
  request: string | null;
  leaf: string;
}

/** A receipt, checked. */
export type HeldReceipt = ReceiptReport & { file: string };

/** Which calls the statements are of: what was asked for, within the reach of whoever asked. */
export interface HeldFilter {
  lab?: string | undefined;
  person?: string | undefined;
  run?: string | undefined;
  day?: string | undefined;
  since?: string | undefined;
}

/** What comes of it. */
export interface Holding {
  /** Receipts that say what the statement says. */
  agreeing: number;
  /** Receipts of entries that the log has from behind the checkpoint of the statement: too new for it. */
  newer: string[];
  /** Receipts of calls that the statements were not asked of. */
  others: number;
  /** Receipts of what the statement does not count, or counts otherwise. */
  notCounted: { file: string; index: number; request: string | undefined }[];
  /** What the statement counts and no receipt shows. */
  withoutReceipt: HeldEntry[];
  /** Refusals that were recorded together: there is no receipt of any of them. */
  together: number;
  /** Receipts that are not sound. */
  unsound: { file: string; status: ReceiptReport['status']; problem: string }[];
  /** Statements that do not say what the entries they count come to. */
  contradictions: string[];
}

/**
 * Holds statements against receipts.
 *
 * @param size of the checkpoint of the statements
 * @param statements those that were asked for
 * @param listed all entries that they count
 */
export function holdReceipts(
  size: number,
  filter: HeldFilter,
  statements: readonly HeldStatement[],
  listed: readonly HeldEntry[],
  receipts: readonly HeldReceipt[],
): Holding {
  const holding: Holding = {
    agreeing: 0,
    newer: [],
    others: 0,
    notCounted: [],
    withoutReceipt: [],
    together: 0,
    unsound: [],
    contradictions: contradictions(statements, listed),
  };
  const byIndex = new Map(listed.map((entry) => [entry.index, entry]));
  const shown = new Set<number>();
  for (const { file, status, problem = '', entries } of receipts) {
    if (status !== 'sound') holding.unsound.push({ file, status, problem });
    // Of one that is incomplete, what it has is proven all the same.
    if (status !== 'sound' && status !== 'incomplete') continue;
    const asked = entries.filter((entry) => isAsked(entry, filter));
    if (asked.length === 0) holding.others += 1;
    let agrees = status === 'sound' && asked.length > 0;
    for (const entry of asked) {
      const { index, leaf, ref } = entry;
      if (index >= size) {
        holding.newer.push(file);
        agrees = false;
      } else if (byIndex.get(index)?.leaf === leaf) shown.add(index);
      else {
        holding.notCounted.push({ file, index, request: ref });
        agrees = false;
      }
    }
    if (agrees) holding.agreeing += 1;
  }
  for (const entry of listed) {
    if (entry.kind === 'request.denied_repeatedly') holding.together += 1;
    else if (!shown.has(entry.index)) holding.withoutReceipt.push(entry);
  }
  return holding;
}

/** Whether an entry is of a call that the statements are of. */
function isAsked(
  { kind, lab, person, run, committedAt }: ReceivedEntry,
  asked: HeldFilter,
): boolean {
  const day = committedAt.slice(0, 10);
  const isIt = (wanted: string | undefined, is: string | undefined): boolean =>
    wanted === undefined || wanted === is;
  return (
    kind.startsWith('request.') &&
    isIt(asked.lab, lab) &&
    isIt(asked.person, person) &&
    isIt(asked.run, run) &&
    isIt(asked.day, day) &&
    (asked.since === undefined || day >= asked.since)
  );
}

const groupOf = ({ person, run, day }: Pick<HeldEntry, 'person' | 'run' | 'day'>): string =>
  `${person}, ${run ?? 'no run'}, ${day}`;

/** Whether the entries that are listed are those that the digests are over. */
function contradictions(
  statements: readonly HeldStatement[],
  listed: readonly HeldEntry[],
): string[] {
  const groups = new Map<string, HeldEntry[]>();
  for (const entry of listed) {
    const group = groups.get(groupOf(entry));
    if (group) group.push(entry);
    else groups.set(groupOf(entry), [entry]);
  }
  const wrong: string[] = [];
  for (const statement of statements) {
    const name = groupOf(statement);
    const entries = groups.get(name) ?? [];
    groups.delete(name);
    const digest = createHash('sha256');
    for (const { leaf } of entries) digest.update(Buffer.from(leaf, 'base64'));
    const count = (kind: string): number => entries.filter((entry) => entry.kind === kind).length;
    if (digest.digest('base64') !== statement.digest || entries.length !== statement.entries)
      wrong.push(`The statement of ${name} is not over the entries that the broker lists for it.`);
    else if (
      count('request.intent') !== statement.requests ||
      count('request.outcome') !== statement.outcomes ||
      count('request.answered') !== statement.answered ||
      count('request.denied') > statement.refusals
    )
      wrong.push(`The statement of ${name} counts otherwise than the entries that it lists.`);
  }
  for (const name of groups.keys())
    wrong.push(`The broker lists entries of ${name}, of which it made no statement.`);
  return wrong;
}
