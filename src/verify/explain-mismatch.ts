/** Says what was done to the entries where one of them does not have its leaf hash. */
import { equalBytes } from '../core/tlog/bytes.ts';
import type { Tree } from '../core/tlog/tree.ts';
import { tampered, type Finding } from './finding.ts';
import { ownPlace } from './own-place.ts';

/** Gives the leaf hash of an entry as it stands in the tiles. */
export type LeafHashAt = (index: number) => Promise<Uint8Array>;

/** A line that is not the entry of its place. */
export interface Misfit {
  index: number;
  line: Uint8Array;
}

/**
 * Tells a changed entry from entries that were removed, repeated or exchanged.
 *
 * @param next the line after the misfit; undefined if there is none
 * @param hashes the leaf hashes by index, which are known to be right
 */
export async function explainMismatch(
  tree: Tree,
  { index, line }: Misfit,
  next: Uint8Array | undefined,
  size: number,
  hashes: LeafHashAt,
): Promise<Finding> {
  const stands = await signedIndex(tree, line, size, hashes);
  if (stands === undefined) return tampered(`Entry ${index} was changed.`, index);
  const follows = next === undefined ? undefined : await signedIndex(tree, next, size, hashes);
  if (stands > index && (next === undefined || follows === stands + 1)) {
    const removed =
      stands === index + 1 ? `Entry ${index} was` : `Entries ${index} to ${stands - 1} were`;
    return tampered(`${removed} removed: entry ${stands} stands there instead.`, index);
  }
  if (stands < index && follows === index) {
    return tampered(`Entry ${stands} stands a second time before entry ${index}.`, index);
  }
  return tampered(
    `Entry ${stands} stands in the place of entry ${index}: entries were put in another order or replaced.`,
    index,
  );
}

/** Index of the entry that this line is, byte for byte; undefined if it is none that was signed. */
async function signedIndex(
  tree: Tree,
  line: Uint8Array,
  size: number,
  hashes: LeafHashAt,
): Promise<number | undefined> {
  const index = ownPlace(line)?.index;
  if (typeof index !== 'number' || !Number.isSafeInteger(index)) return undefined;
  if (index < 0 || index >= size) return undefined;
  return equalBytes(tree.leafHash(line), await hashes(index)) ? index : undefined;
}
