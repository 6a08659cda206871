/** The keys that a log has had, over Node's own crypto. What is signed and checked is said in tlog/key-history.ts. */
import { openSigned, type LogKey } from '../tlog/checkpoint.ts';
import { KEY_HISTORY_FORMAT, readKeyHistory, type KeyRange } from '../tlog/key-history.ts';
import type { Checkpoint } from './checkpoint.ts';
import { parseVerifierKey } from './note-keys.ts';
import type { NoteVerifier } from './note.ts';

export { KeyHistoryError, formatKeyStep } from '../tlog/key-history.ts';
export type { KeyRange };

/** The history of a log's keys as a document. @param steps signed, oldest first */
export function formatKeyHistory(first: string, steps: readonly string[]): string {
  return `${JSON.stringify({ format: KEY_HISTORY_FORMAT, first, steps }, null, 2)}\n`;
}

/** See `readKeyHistory` of tlog/key-history.ts. @throws KeyHistoryError */
export const parseKeyHistory = (document: string): KeyRange[] =>
  readKeyHistory(parseVerifierKey, document);

/** Keys that somebody trusts for any size: of a log that they watch, and of which they name each key that counts. */
export const withoutHistory = (verifierKeys: readonly string[]): KeyRange[] =>
  verifierKeys.map((verifierKey) => ({ verifierKey, after: -1, upTo: Infinity }));

/** Keys with the sizes that they count for, as checks take them. @throws RangeError where one is none */
function logKeysOf(ranges: readonly KeyRange[]): LogKey[] {
  return ranges.map(({ verifierKey, ...range }) => ({
    ...parseVerifierKey(verifierKey),
    ...range,
  }));
}

/**
 * Opens a signed checkpoint with the keys that a log has had. A key counts for the sizes of its time alone: with a key
 * that was replaced, nobody can sign for what came after.
 *
 * @returns the checkpoint, the key that counts for it, and the note with the signatures of these keys alone
 * @throws NoteError, CheckpointError or RangeError as `openCheckpoint` does
 */
export function openCheckpointOf(
  note: string | Uint8Array,
  keys: readonly KeyRange[],
): { checkpoint: Checkpoint; key: NoteVerifier; note: string } {
  const { checkpoint, ...opened } = openSigned(note, logKeysOf(keys));
  return { checkpoint: { ...checkpoint, root: Buffer.from(checkpoint.root) }, ...opened };
}
