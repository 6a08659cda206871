/** What a vector is, and all of them. */
import type { Files } from './kit.ts';
import { bundleVectors } from './make-bundles.ts';
import { rotationVectors } from './make-rotations.ts';
import { logVectors } from './make-logs.ts';
import { noteVectors } from './make-notes.ts';
import { prunedVectors } from './make-pruned.ts';
import { proofVectors } from './make-proofs.ts';

/**
 * What is checked:
 * - `note`: the file `checkpoint`
 * - `receipt`: the file `receipt.tlog-proof`, for the bytes in the file `entry`
 * - `consistency`: that the file `newer` continues the file `older`, by `proof` (hashes in base64, one to a line)
 * - `log`: a directory of tiles, which must continue the file `seen` where there is one, and offers the history of the
 *   log's keys in the file `keys` where there is one
 * - `bundle`: the file `bundle.tar`
 */
type VectorKind = 'note' | 'receipt' | 'consistency' | 'log' | 'bundle';

/** `expected.json`. */
export interface Expected {
  kind: VectorKind;
  /** What it is about, in a sentence. */
  about: string;
  /** Verifier keys that are trusted. */
  keys: string[];
  /** The history of the log's keys that whoever checks has; absent: they have none. */
  history?: string;
  status: 'sound' | 'tampered' | 'incomplete' | 'could_not_run';
  /** The first bad index; null where no single entry is to blame. */
  firstBadIndex: number | null;
}

export interface Vector extends Expected {
  name: string;
  files: Files;
}

/** All vectors, in the order of their names. */
export async function allVectors(): Promise<Vector[]> {
  const all = [
    ...noteVectors(),
    ...proofVectors(),
    ...logVectors(),
    ...(await bundleVectors()),
    ...(await prunedVectors()),
    ...(await rotationVectors()),
  ];
  return all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
