/** Inclusion and consistency proofs: made as RFC 6962 section 2.1 says, checked as RFC 9162 section 2.1 says. */
import { equalBytes } from './bytes.ts';
import {
  HASH_BYTES,
  assertTreeSize,
  largestPowerOfTwoBelow,
  type HashAt,
  type Tree,
} from './tree.ts';

/**
 * Proves that the leaf at `index` is in the tree of `size` leaves (RFC 6962, 2.1.1).
 *
 * @returns hashes of the siblings, from the leaf up to the root
 * @throws RangeError unless 0 ≤ index < size
 */
export function inclusionProof<H extends Uint8Array>(
  tree: Tree<H>,
  index: number,
  size: number,
  hashAt: HashAt,
): H[] {
  assertTreeSize(size);
  assertTreeSize(index);
  if (index >= size) throw new RangeError(`A tree of ${size} leaves has no leaf ${index}.`);
  const fromRoot: H[] = [];
  let start = 0;
  let count = size;
  while (count > 1) {
    const left = largestPowerOfTwoBelow(count);
    if (index < start + left) {
      fromRoot.push(tree.rangeHash(start + left, count - left, hashAt));
      count = left;
    } else {
      fromRoot.push(tree.rangeHash(start, left, hashAt));
      start += left;
      count -= left;
    }
  }
  return fromRoot.reverse();
}

/** What an inclusion proof claims. */
export interface InclusionClaim {
  index: number;
  size: number;
  leafHash: Uint8Array;
  root: Uint8Array;
  proof: readonly Uint8Array[];
}

/** Whether the proof shows that the leaf is at this index of the tree with this root (RFC 9162, 2.1.3.2). */
export function verifyInclusion(tree: Tree, claim: InclusionClaim): boolean {
  const { index, size, leafHash, root, proof } = claim;
  if (!isTreeSize(index) || !isTreeSize(size) || index >= size) return false;
  if (![leafHash, root, ...proof].every(isHash)) return false;
  let node = index;
  let last = size - 1;
  let hash = leafHash;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = tree.nodeHash(sibling, hash);
      // A right edge without a sibling at a level is carried up unhashed: skip those levels.
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = half(last);
      }
    } else {
      hash = tree.nodeHash(hash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && equalBytes(hash, root);
}

/**
 * Proves that the tree of `newSize` leaves starts with the tree of `oldSize` leaves (RFC 6962, 2.1.2).
 *
 * @returns the proof's hashes; none when the sizes are equal or the old tree is empty
 * @throws RangeError unless 0 ≤ oldSize ≤ newSize
 */
export function consistencyProof<H extends Uint8Array>(
  tree: Tree<H>,
  oldSize: number,
  newSize: number,
  hashAt: HashAt,
): H[] {
  assertTreeSize(oldSize);
  assertTreeSize(newSize);
  if (oldSize > newSize) {
    throw new RangeError(`A tree of ${newSize} leaves cannot extend one of ${oldSize}.`);
  }
  if (oldSize === 0 || oldSize === newSize) return [];
  const fromRoot: H[] = [];
  let start = 0;
  let count = newSize;
  // Descend to the subtree that ends exactly where the old tree ended.
  while (start + count !== oldSize) {
    const left = largestPowerOfTwoBelow(count);
    if (oldSize <= start + left) {
      fromRoot.push(tree.rangeHash(start + left, count - left, hashAt));
      count = left;
    } else {
      fromRoot.push(tree.rangeHash(start, left, hashAt));
      start += left;
      count -= left;
    }
  }
  // When that subtree is the whole old tree, the verifier knows its hash already: it is the old root.
  if (start !== 0) fromRoot.push(tree.rangeHash(start, count, hashAt));
  return fromRoot.reverse();
}

/** What a consistency proof claims. */
export interface ConsistencyClaim {
  oldSize: number;
  oldRoot: Uint8Array;
  newSize: number;
  newRoot: Uint8Array;
  proof: readonly Uint8Array[];
}

/**
 * Whether the proof shows that the new tree extends the old one (RFC 9162, 2.1.4.2). Every tree extends
 * the empty one, and itself, by the empty proof only.
 */
export function verifyConsistency(tree: Tree, claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, newSize, newRoot, proof } = claim;
  if (!isTreeSize(oldSize) || !isTreeSize(newSize) || oldSize > newSize) return false;
  if (![oldRoot, newRoot, ...proof].every(isHash)) return false;
  if (oldSize === newSize) return proof.length === 0 && equalBytes(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0 && equalBytes(oldRoot, tree.emptyRoot());

  // A full old tree is the first of the subtrees that the proof joins, and left out: the verifier has its root.
  const subtrees = isFull(oldSize) ? [oldRoot, ...proof] : proof;
  const roots = joinedBy(tree, oldSize, newSize, subtrees);
  return roots !== undefined && equalBytes(roots.old, oldRoot) && equalBytes(roots.new, newRoot);
}

/**
 * Root of the older tree by a consistency proof alone, if the proof leads to the newer tree's root. Where it is not the
 * root that somebody holds for that size, the newer tree begins with another tree than theirs: no other proof can lead
 * from theirs to the same root.
 *
 * @returns undefined where the proof leads elsewhere, or does not say: it does not where the old size is a power of two
 */
export function pastByProof(
  tree: Tree,
  { oldSize, newSize, newRoot, proof }: Omit<ConsistencyClaim, 'oldRoot'>,
): Uint8Array | undefined {
  if (!isTreeSize(oldSize) || !isTreeSize(newSize) || oldSize < 1 || oldSize >= newSize)
    return undefined;
  if (isFull(oldSize) || ![newRoot, ...proof].every(isHash)) return undefined;
  const roots = joinedBy(tree, oldSize, newSize, proof);
  return roots !== undefined && equalBytes(roots.new, newRoot) ? roots.old : undefined;
}

/** The two roots that the subtrees of a consistency proof come to; undefined when there are too many or too few. */
function joinedBy(
  tree: Tree,
  oldSize: number,
  newSize: number,
  subtrees: readonly Uint8Array[],
): { old: Uint8Array; new: Uint8Array } | undefined {
  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) {
    node = half(node);
    last = half(last);
  }
  const [first, ...rest] = subtrees;
  if (first === undefined) return undefined;
  let oldHash = first;
  let newHash = first;
  for (const sibling of rest) {
    if (last === 0) return undefined;
    if (node % 2 === 1 || node === last) {
      oldHash = tree.nodeHash(sibling, oldHash);
      newHash = tree.nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = half(last);
      }
    } else {
      newHash = tree.nodeHash(newHash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 ? { old: oldHash, new: newHash } : undefined;
}

/** Whether a tree of this size is one full subtree: the size is a power of two. */
function isFull(size: number): boolean {
  let odd = size;
  while (odd % 2 === 0 && odd > 0) odd /= 2;
  return odd === 1;
}

/** Sizes go up to 2^53, so the shifts of the RFC, 32 bits wide in JavaScript, are divisions here. */
function half(n: number): number {
  return Math.floor(n / 2);
}

function isTreeSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES;
}
