/**
 * Split views: a log that showed one history to some and another to others. Two checkpoints that it signed prove it, or
 * they and a proof that one of them has another past; whoever has the log's key can check that, and nobody can deny it.
 */
import type { LogKey } from '../tlog/checkpoint.ts';
import { openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { openCheckpointOf, type KeyRange } from './key-history.ts';
import { parseNote } from './note.ts';
import { consistencyProof, pastByProof, verifyConsistency } from './proofs.ts';
import { emptyRoot, rootAt, type HashAt } from './merkle.ts';

/** proven: by the log's key alone. unproven: our log signed for more entries than it has, and they cannot be compared. */
export const SPLIT_VIEW_KINDS = ['proven', 'unproven'] as const;
export type SplitViewKind = (typeof SPLIT_VIEW_KINDS)[number];

/** How it was found: we were asked to cosign it, or somebody handed it in. */
export const SPLIT_VIEW_SOURCES = ['witness', 'handed_in'] as const;
export type SplitViewSource = (typeof SPLIT_VIEW_SOURCES)[number];

/** What shows that a log was shown in two versions. All of it can be checked with the log's key alone. */
export interface SplitView {
  origin: string;
  /** Signed checkpoint of the smaller size, or either of two of the same size. */
  older: string;
  newer: string;
  /** That the newer one's log begins with another log than the older one's; undefined where both have one size. */
  past: OtherPast | undefined;
}

/** The beginning that a checkpoint has, and the proof that it has it. */
interface OtherPast {
  /** Of as many entries as the older checkpoint, and not its root. */
  root: Buffer;
  /** Consistency proof from that root to the newer checkpoint. */
  proof: Buffer[];
}

/** A signed checkpoint that was opened. */
export interface SeenCheckpoint {
  note: string;
  origin: string;
  size: number;
  root: Buffer;
}

/**
 * Reads a signed checkpoint whose signature was checked before.
 *
 * @throws NoteError, CheckpointError
 */
export function seenCheckpoint(note: string): SeenCheckpoint {
  return { note, ...parseCheckpoint(parseNote(note).text) };
}

/**
 * Opens a signed checkpoint. Its note comes back with the signatures of these keys alone: everywhere else, whoever hands
 * it in can add lines to it.
 *
 * @throws NoteError, CheckpointError
 */
export function openSeen(note: string, keys: readonly KeyRange[]): SeenCheckpoint {
  const opened = openCheckpointOf(note, keys);
  return { ...opened.checkpoint, note: opened.note };
}

/** What two checkpoints of one log show. */
export type Comparison =
  /** The newer one continues the older one, or they are the same. */
  | { verdict: 'consistent' }
  | { verdict: 'split'; evidence: SplitView }
  /** Of two sizes, without a proof between them: nothing is shown either way. */
  | { verdict: 'undecided' };

/** Puts two checkpoints in order: the smaller one first. */
function inOrder<T extends { size: number }>(one: T, other: T): [T, T] {
  return one.size <= other.size ? [one, other] : [other, one];
}

/**
 * Compares two checkpoints of one log. Their signatures are the caller's to have checked.
 *
 * @param proof consistency proof from the smaller to the larger; undefined: there is none
 */
export function compareCheckpoints(
  one: SeenCheckpoint,
  other: SeenCheckpoint,
  proof: readonly Buffer[] | undefined,
): Comparison {
  const [older, newer] = inOrder(one, other);
  if (older.size === newer.size)
    return older.root.equals(newer.root) ? { verdict: 'consistent' } : split(older, newer);
  // The empty log begins every log, and has one root.
  if (older.size === 0)
    return isEmptyRoot(older.root)
      ? { verdict: 'consistent' }
      : split(older, newer, { root: emptyRoot(), proof: [] });
  if (!proof) return { verdict: 'undecided' };
  const claim = { oldSize: older.size, newSize: newer.size, newRoot: newer.root, proof };
  if (verifyConsistency({ ...claim, oldRoot: older.root })) return { verdict: 'consistent' };
  const past = pastByProof(claim);
  if (past === undefined) return { verdict: 'undecided' };
  return split(older, newer, { root: Buffer.from(past), proof: [...proof] });
}

/**
 * Compares two checkpoints by the hashes of the log that one of them is of.
 *
 * @param hashAt hashes of a tree at least as large as both
 */
export function compareByTree(
  one: SeenCheckpoint,
  other: SeenCheckpoint,
  hashAt: HashAt,
): Comparison {
  const [older, newer] = inOrder(one, other);
  if (older.size === newer.size || older.size === 0)
    return compareCheckpoints(older, newer, undefined);
  // Hashes that do not lead to the newer one are of another log, or damaged: they show nothing of this one.
  if (!rootAt(newer.size, hashAt).equals(newer.root)) return { verdict: 'undecided' };
  const root = rootAt(older.size, hashAt);
  if (root.equals(older.root)) return { verdict: 'consistent' };
  return split(older, newer, { root, proof: consistencyProof(older.size, newer.size, hashAt) });
}

/**
 * Whether this proves a split view, by the log's key alone.
 *
 * @param verifierKey of the log, or those that it has had with the sizes that they count for
 * @returns undefined if it does; else a sentence that says why not
 */
export function whyNoSplitView(
  { older, newer, past }: Omit<SplitView, 'origin'>,
  verifierKey: string | readonly LogKey[],
): string | undefined {
  const before = openCheckpoint(older, verifierKey);
  const after = openCheckpoint(newer, verifierKey);
  if (before.origin !== after.origin) return 'The checkpoints are of two logs.';
  if (before.size === after.size)
    return before.root.equals(after.root) ? 'The two checkpoints are the same.' : undefined;
  if (!past) return 'The checkpoints have two sizes, and there is no proof between them.';
  if (past.root.equals(before.root)) return 'The newer checkpoint continues the older one.';
  const { root, proof } = past;
  const isProven = verifyConsistency({
    oldSize: before.size,
    oldRoot: root,
    newSize: after.size,
    newRoot: after.root,
    proof,
  });
  return isProven ? undefined : 'The proof does not lead to the newer checkpoint.';
}

/** Whether this is the root of a log without entries. */
export const isEmptyRoot = (root: Buffer): boolean => root.equals(emptyRoot());

function split(older: SeenCheckpoint, newer: SeenCheckpoint, past?: OtherPast): Comparison {
  const { origin } = older;
  return { verdict: 'split', evidence: { origin, older: older.note, newer: newer.note, past } };
}
