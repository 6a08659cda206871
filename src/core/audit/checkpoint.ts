/** Checkpoints over Node's own crypto. What each function does is said in tlog/checkpoint.ts. */
import * as neutral from '../tlog/checkpoint.ts';
import { tree } from './merkle.ts';
import { parseVerifierKey } from './note-keys.ts';

export { CheckpointError, formatCheckpoint } from '../tlog/checkpoint.ts';

export type Checkpoint = neutral.Checkpoint<Buffer>;

/** Reads a checkpoint's body. @throws CheckpointError */
export const parseCheckpoint = (body: string): Checkpoint =>
  withBuffer(neutral.parseCheckpoint(body));

/**
 * See `openCheckpoint` of tlog/checkpoint.ts.
 *
 * @param verifierKey a key as text, or several, or keys with the sizes that they count for
 * @throws NoteError, CheckpointError, and RangeError when a verifier key is not one
 */
export const openCheckpoint = (
  note: string | Uint8Array,
  verifierKey: string | readonly (string | neutral.LogKey)[],
): Checkpoint => withBuffer(neutral.openCheckpoint(note, keysOf(verifierKey)));

/** See `checkConsistency` of tlog/checkpoint.ts. @throws RangeError when a verifier key is not one */
export const checkConsistency = (
  older: string | Uint8Array,
  newer: string | Uint8Array,
  verifierKey: string | readonly string[],
  proof: readonly Uint8Array[],
): neutral.ConsistencyVerdict =>
  neutral.checkConsistency(tree, older, newer, keysOf(verifierKey), proof);

function keysOf(given: string | readonly (string | neutral.LogKey)[]): neutral.LogKey[] {
  return (typeof given === 'string' ? [given] : given).map((key) =>
    typeof key === 'string' ? parseVerifierKey(key) : key,
  );
}

function withBuffer({ origin, size, root }: neutral.Checkpoint): Checkpoint {
  return { origin, size, root: Buffer.from(root) };
}
