/** The Merkle tree of RFC 6962 section 2.1: hashes and roots, over a SHA-256 that is handed in. */

/** Bytes in a hash of the tree. */
export const HASH_BYTES = 32;

/**
 * Gives the hash of a full subtree: the one that covers the leaves
 * [index · 2^level, (index + 1) · 2^level). Level 0 are the leaf hashes themselves. Only ever asked
 * for subtrees that lie wholly below the size in question. Throws when it does not have the hash.
 */
export type HashAt = (level: number, index: number) => Uint8Array;

/** Computes a root leaf by leaf while holding one hash per level. */
export interface RootAccumulator<H extends Uint8Array = Uint8Array> {
  /** Appends a leaf by its leaf hash. */
  add(leafHash: Uint8Array): void;
  /** Leaves added so far. */
  size(): number;
  /** Root of the tree over the leaves added so far. */
  root(): H;
}

/** What a tree is computed with. */
export interface TreeHash<H extends Uint8Array> {
  /** SHA-256 of the bytes, in 32 bytes of its own. Does not keep the bytes: they are overwritten. */
  sha256: (bytes: Uint8Array) => H;
  /** A copy of a hash. */
  copy: (hash: Uint8Array) => H;
}

/** The functions of the tree, over one SHA-256. */
export interface Tree<H extends Uint8Array = Uint8Array> {
  /** Hash of a leaf: SHA-256(0x00 ‖ data). */
  leafHash: (data: Uint8Array) => H;
  /** Hash of an inner node: SHA-256(0x01 ‖ left ‖ right). Throws RangeError unless both have 32 bytes. */
  nodeHash: (left: Uint8Array, right: Uint8Array) => H;
  /**
   * Root over a power of two of hashes, concatenated. The same as joining them two by two with `nodeHash`, at half
   * of what that takes: a log has as many inner nodes as leaves.
   */
  fullTreeRoot: (hashes: Uint8Array) => H;
  /** Root of the tree without leaves: SHA-256 of nothing. */
  emptyRoot: () => H;
  /** Root of the tree over these leaf hashes, in this order. */
  rootOfLeaves: (leafHashes: Iterable<Uint8Array>) => H;
  /** Root of a tree's first `size` leaves, from the hashes of its full subtrees. */
  rootAt: (size: number, hashAt: HashAt) => H;
  /** Starts an empty {@link RootAccumulator}. */
  createRootAccumulator: () => RootAccumulator<H>;
  /**
   * Hash of the subtree over `count` leaves from `start` on, where start is a multiple of the smallest
   * power of two that is not below count: the only subtrees that RFC 6962 ever names.
   */
  rangeHash: (start: number, count: number, hashAt: HashAt) => H;
  /** SHA-256 of the bytes as they are: no hash of the tree. */
  digest: (bytes: Uint8Array) => H;
  /** A copy of a hash. */
  copy: (hash: Uint8Array) => H;
}

const LEAF = 0x00;
const NODE = 0x01;

/** Room for a leaf to begin with: the longest that C2SP allows, and the byte in front of it. */
const LEAF_ROOM = 65_536;

/** The tree over this SHA-256. */
export function treeOver<H extends Uint8Array>({ sha256, copy }: TreeHash<H>): Tree<H> {
  // Made once: an array for each of a million hashes would cost as much as the hashes.
  let leaf = new Uint8Array(LEAF_ROOM);
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node[0] = NODE;

  const leafHash: Tree<H>['leafHash'] = (data) => {
    if (data.length >= leaf.length) leaf = new Uint8Array(data.length + 1);
    leaf[0] = LEAF;
    leaf.set(data, 1);
    return sha256(leaf.subarray(0, data.length + 1));
  };

  const nodeHash: Tree<H>['nodeHash'] = (left, right) => {
    if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) {
      throw new RangeError('A node of the tree joins two hashes of 32 bytes.');
    }
    node.set(left, 1);
    node.set(right, 1 + HASH_BYTES);
    return sha256(node);
  };

  const emptyRoot: Tree<H>['emptyRoot'] = () => sha256(new Uint8Array());

  const rangeHash: Tree<H>['rangeHash'] = (start, count, hashAt) => {
    const level = Math.round(Math.log2(count));
    if (2 ** level === count) return copy(hashAt(level, start / count));
    const left = largestPowerOfTwoBelow(count);
    return nodeHash(rangeHash(start, left, hashAt), rangeHash(start + left, count - left, hashAt));
  };

  const createRootAccumulator: Tree<H>['createRootAccumulator'] = () => {
    // peaks[level] is the full subtree of 2^level leaves that ends where the next leaf will go, if that
    // bit of the size is set: adding a leaf is adding one to a binary number.
    const peaks: (Uint8Array | undefined)[] = [];
    let size = 0;
    return {
      add(hash) {
        let carry = hash;
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
        return root === undefined ? emptyRoot() : copy(root);
      },
    };
  };

  return {
    leafHash,
    nodeHash,
    emptyRoot,
    rangeHash,
    createRootAccumulator,
    digest: sha256,
    copy,
    fullTreeRoot(hashes) {
      const level = new Uint8Array(hashes);
      for (let length = hashes.length; length > HASH_BYTES; length /= 2) {
        for (let at = 0; at < length; at += 2 * HASH_BYTES) {
          node.set(level.subarray(at, at + 2 * HASH_BYTES), 1);
          level.set(sha256(node), at / 2);
        }
      }
      return copy(level.subarray(0, HASH_BYTES));
    },
    rootOfLeaves(leafHashes) {
      const tree = createRootAccumulator();
      for (const hash of leafHashes) tree.add(hash);
      return tree.root();
    },
    rootAt(size, hashAt) {
      assertTreeSize(size);
      return size === 0 ? emptyRoot() : rangeHash(0, size, hashAt);
    },
  };
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
