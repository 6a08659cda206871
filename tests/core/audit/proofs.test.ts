import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  consistencyProof,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from '../../../src/core/audit/proofs.ts';
import { emptyRoot } from '../../../src/core/audit/merkle.ts';
import { hashesOfTile } from '../../../src/core/audit/tiles.ts';
import { flipped, naiveConsistency, naiveInclusion, naiveRoot, someLeaves } from './naive-tree.ts';

const LEAVES = someLeaves(300);
const HASHES = hashesOfTile(Buffer.concat(LEAVES));
const rootOf = (size: number) => naiveRoot(LEAVES.slice(0, size));
const leafAt = (index: number) => LEAVES[index] ?? Buffer.alloc(32);

/** A tree size and a leaf of it. */
const sizeAndIndex = fc
  .integer({ min: 1, max: LEAVES.length })
  .chain((size) => fc.tuple(fc.constant(size), fc.nat({ max: size - 1 })));

/** Two sizes, the smaller one not zero. */
const twoSizes = fc
  .integer({ min: 1, max: LEAVES.length })
  .chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 1, max: size })));

describe('an inclusion proof', () => {
  it('is the one that RFC 6962 defines, and verifies, for every leaf of every small tree', () => {
    for (let size = 1; size <= 33; size += 1) {
      for (let index = 0; index < size; index += 1) {
        const proof = inclusionProof(index, size, HASHES);
        expect(proof).toEqual(naiveInclusion(index, LEAVES.slice(0, size)));
        const claim = { index, size, leafHash: leafAt(index), root: rootOf(size), proof };
        expect(verifyInclusion(claim)).toBe(true);
      }
    }
  });

  it('fails when any part of the claim is changed', () => {
    fc.assert(
      fc.property(sizeAndIndex, fc.nat(), ([size, index], byte) => {
        const proof = inclusionProof(index, size, HASHES);
        const claim = { index, size, leafHash: leafAt(index), root: rootOf(size), proof };
        expect(verifyInclusion(claim)).toBe(true);
        const at = byte % 32;
        expect(verifyInclusion({ ...claim, leafHash: flipped(claim.leafHash, at) })).toBe(false);
        expect(verifyInclusion({ ...claim, root: flipped(claim.root, at) })).toBe(false);
        for (const [i, hash] of proof.entries()) {
          expect(verifyInclusion({ ...claim, proof: proof.with(i, flipped(hash, at)) })).toBe(
            false,
          );
        }
        expect(verifyInclusion({ ...claim, proof: [...proof, leafAt(0)] })).toBe(false);
        // A tree of one leaf has neither a shorter proof nor another leaf.
        const alone = size === 1;
        expect(verifyInclusion({ ...claim, proof: proof.slice(1) })).toBe(alone);
        expect(verifyInclusion({ ...claim, proof: proof.slice(0, -1) })).toBe(alone);
        const other = (index + 1 + (byte % Math.max(size - 1, 1))) % size;
        expect(verifyInclusion({ ...claim, index: other })).toBe(alone);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused where there is no such leaf', () => {
    expect(() => inclusionProof(5, 5, HASHES)).toThrow(RangeError);
    expect(() => inclusionProof(-1, 5, HASHES)).toThrow(RangeError);
    const claim = { leafHash: leafAt(0), root: leafAt(0), proof: [] };
    expect(verifyInclusion({ ...claim, index: 0, size: 1 })).toBe(true);
    expect(verifyInclusion({ ...claim, index: 1, size: 1 })).toBe(false);
    expect(verifyInclusion({ ...claim, index: -1, size: 1 })).toBe(false);
    expect(verifyInclusion({ ...claim, index: 0, size: 0 })).toBe(false);
    expect(verifyInclusion({ ...claim, index: 0, size: Number.NaN })).toBe(false);
    expect(verifyInclusion({ ...claim, index: 0, size: 1, root: leafAt(0).subarray(1) })).toBe(
      false,
    );
  });

  it('holds above 2^32 leaves, where shifts of 32 bits would not', () => {
    // A tree whose subtrees of one height are all equal: 2^40 + 1 leaves without making them.
    const heights: Buffer[] = [leafAt(0)];
    const hashAt = (level: number): Buffer => {
      for (let l = heights.length; l <= level; l += 1) {
        const below = heights[l - 1] ?? Buffer.alloc(32);
        heights.push(naiveRoot([below, below]));
      }
      return heights[level] ?? Buffer.alloc(32);
    };
    const size = 2 ** 40 + 1;
    const root = naiveRoot([hashAt(40), leafAt(0)]);
    for (const index of [0, 2 ** 32 + 5, 2 ** 40]) {
      const proof = inclusionProof(index, size, hashAt);
      expect(verifyInclusion({ index, size, leafHash: leafAt(0), root, proof })).toBe(true);
    }
    const proof = consistencyProof(2 ** 33, size, hashAt);
    const claim = { oldSize: 2 ** 33, oldRoot: hashAt(33), newSize: size, newRoot: root, proof };
    expect(verifyConsistency(claim)).toBe(true);
    expect(verifyConsistency({ ...claim, oldSize: 2 ** 33 + 1 })).toBe(false);
  });
});

describe('a consistency proof', () => {
  it('is the one that RFC 6962 defines, and verifies, between all small sizes', () => {
    for (let newSize = 1; newSize <= 33; newSize += 1) {
      for (let oldSize = 1; oldSize <= newSize; oldSize += 1) {
        const proof = consistencyProof(oldSize, newSize, HASHES);
        expect(proof).toEqual(naiveConsistency(oldSize, LEAVES.slice(0, newSize)));
        const roots = { oldRoot: rootOf(oldSize), newRoot: rootOf(newSize) };
        expect(verifyConsistency({ oldSize, newSize, ...roots, proof })).toBe(true);
      }
    }
  });

  it('fails when any part of the claim is changed', () => {
    fc.assert(
      fc.property(twoSizes, fc.nat(), ([newSize, oldSize], byte) => {
        const proof = consistencyProof(oldSize, newSize, HASHES);
        const roots = { oldRoot: rootOf(oldSize), newRoot: rootOf(newSize) };
        const claim = { oldSize, newSize, ...roots, proof };
        expect(verifyConsistency(claim)).toBe(true);
        const at = byte % 32;
        expect(verifyConsistency({ ...claim, oldRoot: flipped(roots.oldRoot, at) })).toBe(false);
        expect(verifyConsistency({ ...claim, newRoot: flipped(roots.newRoot, at) })).toBe(false);
        for (const [i, hash] of proof.entries()) {
          const changed = proof.with(i, flipped(hash, at));
          expect(verifyConsistency({ ...claim, proof: changed })).toBe(false);
        }
        expect(verifyConsistency({ ...claim, proof: [...proof, leafAt(0)] })).toBe(false);
        const same = oldSize === newSize;
        expect(verifyConsistency({ ...claim, proof: proof.slice(0, -1) })).toBe(same);
        expect(verifyConsistency({ ...claim, proof: [] })).toBe(same);
      }),
      { numRuns: 60 },
    );
  });

  it('shows no history that was rewritten', () => {
    const rewritten = LEAVES.with(3, leafAt(200));
    const proof = consistencyProof(10, 20, hashesOfTile(Buffer.concat(rewritten)));
    const newRoot = naiveRoot(rewritten.slice(0, 20));
    expect(
      verifyConsistency({ oldSize: 10, oldRoot: rootOf(10), newSize: 20, newRoot, proof }),
    ).toBe(false);
  });

  it('is empty from the empty tree and between equal ones, and from no other', () => {
    expect(consistencyProof(0, 7, HASHES)).toEqual([]);
    const from = { oldSize: 0, oldRoot: emptyRoot(), newSize: 7, newRoot: rootOf(7), proof: [] };
    expect(verifyConsistency(from)).toBe(true);
    expect(verifyConsistency({ ...from, oldRoot: rootOf(1) })).toBe(false);
    expect(verifyConsistency({ ...from, proof: [leafAt(0)] })).toBe(false);
    const same = { oldSize: 7, oldRoot: rootOf(7), newSize: 7, newRoot: rootOf(7), proof: [] };
    expect(verifyConsistency(same)).toBe(true);
    expect(verifyConsistency({ ...same, newRoot: rootOf(6) })).toBe(false);
    expect(verifyConsistency({ ...same, oldSize: 8 })).toBe(false);
    expect(() => consistencyProof(8, 7, HASHES)).toThrow(RangeError);
  });
});
