/** RFC 6962 section 2.1 written down word for word, over lists: slow, and independent of the code under test. */
import { createHash } from 'node:crypto';

function sha256(...parts: Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}

function naiveLeaf(data: Uint8Array): Buffer {
  return sha256(Buffer.of(0), data);
}

/** MTH(D[n]), over leaf hashes. */
export function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return only;
  const k = split(leaves.length);
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

/** PATH(m, D[n]). */
export function naiveInclusion(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m < k
    ? [...naiveInclusion(m, left), naiveRoot(right)]
    : [...naiveInclusion(m - k, right), naiveRoot(left)];
}

/** PROOF(m, D[n]) for 0 < m ≤ n. */
export function naiveConsistency(m: number, leaves: readonly Buffer[], complete = true): Buffer[] {
  if (m === leaves.length) return complete ? [] : [naiveRoot(leaves)];
  const k = split(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m <= k
    ? [...naiveConsistency(m, left, complete), naiveRoot(right)]
    : [...naiveConsistency(m - k, right, false), naiveRoot(left)];
}

/** Largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (k < n) k *= 2;
  return k / 2;
}

/** Leaf hashes of the texts "0", "1", … */
export function someLeaves(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => naiveLeaf(Buffer.from(String(i))));
}

/** The same bytes with one bit of one byte changed. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
