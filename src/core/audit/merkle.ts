/** The Merkle tree of RFC 6962 section 2.1: hashes and roots, over SHA-256. Proofs are in proofs.ts. */
import { hash } from 'node:crypto';

/** Bytes in a hash of the tree. */
export const HASH_BYTES = 32;

/**
 * Gives the hash of a full subtree: the one that covers the leaves
 * [index · 2^level, (index + 1) · 2^level). Level 0 are the leaf hashes themselves. Only ever asked
 * for subtrees that lie wholly below the size in question. Throws when it does not have the hash.
 */
export type HashAt = (level: number, index: number) => Uint8Array;

/** Hash of a leaf: SHA-256(0x00 ‖ data). */
export function leafHash(data: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(1 + data.length);
  input[0] = 0x00;
  input.set(data, 1);
  return hash('sha256', input, 'buffer');
}

/** Hash of an inner node: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) {
    throw new RangeError('A node of the tree joins two hashes of 32 bytes.');
  }
  const input = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  input[0] = 0x01;
  input.set(left, 1);
  input.set(right, 1 + HASH_BYTES);
  return hash('sha256', input, 'buffer');
}

/**
 * Root over a power of two of hashes, concatenated. The same as joining them two by two with {@link nodeHash}, at half
 * of what that takes: a log has as many inner nodes as leaves.
 */
export function fullTreeRoot(hashes: Uint8Array): Buffer {
  const level = Buffer.from(hashes);
  const input = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  input[0] = 0x01;
  for (let length = hashes.length; length > HASH_BYTES; length /= 2) {
    for (let at = 0; at < length; at += 2 * HASH_BYTES) {
      level.copy(input, 1, at, at + 2 * HASH_BYTES);
      hash('sha256', input, 'buffer').copy(level, at / 2);
    }
  }
  return Buffer.from(level.subarray(0, HASH_BYTES));
}

/** Root of the tree without leaves: SHA-256 of nothing. */
export function emptyRoot(): Buffer {
  return hash('sha256', Buffer.alloc(0), 'buffer');
}

/** Root of the tree over these leaf hashes, in this order. */
export function rootOfLeaves(leafHashes: Iterable<Uint8Array>): Buffer {
  const tree = createRootAccumulator();
  for (const leaf of leafHashes) tree.add(leaf);
  return tree.root();
}

/** Root of a tree's first `size` leaves, from the hashes of its full subtrees. */
export function rootAt(size: number, hashAt: HashAt): Buffer {
  assertTreeSize(size);
  return size === 0 ? emptyRoot() : rangeHash(0, size, hashAt);
}

/** Computes a root leaf by leaf while holding one hash per level. */
export interface RootAccumulator {
  /** Appends a leaf by its leaf hash. */
  add(leafHash: Uint8Array): void;
  /** Leaves added so far. */
  size(): number;
  /** Root of the tree over the leaves added so far. */
  root(): Buffer;
}

/** Starts an empty {@link RootAccumulator}. */
export function createRootAccumulator(): RootAccumulator {
  // peaks[level] is the full subtree of 2^level leaves that ends where the next leaf will go, if that
  // bit of the size is set: adding a leaf is adding one to a binary number.
  const peaks: (Uint8Array | undefined)[] = [];
  let size = 0;
  return {
    add(leaf) {
      let carry = leaf;
      let level = 0;
      for (let peak = peaks[0]; peak !== undefined; peak = peaks[level]) {
        carry = nodeHash(peak, carry);
        peaks[level] = undefined;
        level += 1;
      }
      peaks[level] = carry;
      size += 1;
    },
    size: () => size,
    root() {
      let root: Uint8Array | undefined;
      for (const peak of peaks) {
        if (peak !== undefined) root = root === undefined ? peak : nodeHash(peak, root);
      }
      return root === undefined ? emptyRoot() : Buffer.from(root);
    },
  };
}

/**
 * Hash of the subtree over `count` leaves from `start` on, where start is a multiple of the smallest
 * power of two that is not below count: the only subtrees that RFC 6962 ever names.
 */
export function rangeHash(start: number, count: number, hashAt: HashAt): Buffer {
  const level = Math.round(Math.log2(count));
  if (2 ** level === count) return Buffer.from(hashAt(level, start / count));
  const left = largestPowerOfTwoBelow(count);
  return nodeHash(rangeHash(start, left, hashAt), rangeHash(start + left, count - left, hashAt));
}

/** Largest power of two strictly below n, for n of at least 2: where RFC 6962 splits a tree. */
export function largestPowerOfTwoBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}

/** Refuses what cannot be the number of leaves of a tree. Throws RangeError. */
export function assertTreeSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new RangeError(`${size} is not the size of a tree.`);
  }
}
