/** What a witness decides about a checkpoint that it is asked to cosign: C2SP tlog-witness. */
import { verifyConsistency } from './proofs.ts';
import {
  compareCheckpoints,
  isEmptyRoot,
  type SeenCheckpoint,
  type SplitView,
} from './split-view.ts';

/** A checkpoint whose signature was found good, and what came with it. */
export interface Submitted extends SeenCheckpoint {
  /** Size that its log believes the witness to know. */
  old: number;
  /** Consistency proof from there. */
  proof: readonly Buffer[];
}

/** What a witness does. */
export type WatchDecision =
  /** It continues what the witness knows. `isNew`: it is larger, and is to be kept. */
  | { verdict: 'cosign'; isNew: boolean }
  /** The witness knows a checkpoint of another size than the log believes, or of this size with another root. */
  | { verdict: 'conflict'; size: number; splitView?: SplitView }
  /** The proof does not lead from what the witness knows to what it is shown. */
  | { verdict: 'inconsistent'; splitView?: SplitView };

/**
 * Decides on a checkpoint. To be called in the transaction that keeps what is accepted, with what was read in it.
 *
 * @param known the largest checkpoint of that log that the witness cosigned; undefined: none yet
 */
export function decideWatch(
  known: SeenCheckpoint | undefined,
  submitted: Submitted,
): WatchDecision {
  const { old, size, root, proof } = submitted;
  const knownSize = known?.size ?? 0;
  // One of the size that is known, or of none: these need no proof.
  if (known && (size === knownSize || size === 0)) {
    const compared = compareCheckpoints(known, submitted, undefined);
    // Whatever size the log believes in: these two no honest log signs.
    if (compared.verdict === 'split')
      return { verdict: 'conflict', size: knownSize, splitView: compared.evidence };
  }
  if (old !== knownSize) return { verdict: 'conflict', size: knownSize };
  if (!known && size === 0 && !isEmptyRoot(root)) return { verdict: 'conflict', size: 0 };
  if (!known)
    return proof.length === 0 ? { verdict: 'cosign', isNew: true } : { verdict: 'inconsistent' };
  const isProven = verifyConsistency({
    oldSize: known.size,
    oldRoot: known.root,
    newSize: size,
    newRoot: root,
    proof,
  });
  if (isProven) return { verdict: 'cosign', isNew: size > knownSize };
  const compared = compareCheckpoints(known, submitted, proof);
  return compared.verdict === 'split'
    ? { verdict: 'inconsistent', splitView: compared.evidence }
    : { verdict: 'inconsistent' };
}
