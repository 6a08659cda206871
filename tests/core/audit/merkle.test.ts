import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  createRootAccumulator,
  emptyRoot,
  leafHash,
  nodeHash,
  rootAt,
  rootOfLeaves,
} from '../../../src/core/audit/merkle.ts';
import { consistencyProof, inclusionProof } from '../../../src/core/audit/proofs.ts';
import { hashesOfTile } from '../../../src/core/audit/tiles.ts';
import { EMPTY_EDGE, appendLeaves } from '../../../src/core/audit/tree-edge.ts';
import { naiveRoot, someLeaves } from './naive-tree.ts';

/** The leaves and roots of Certificate Transparency's own tests (merkletree/merkle_tree_test). */
const CT_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** Hashes of inner nodes, and the proofs made of them, of the same tests. */
const [LEAF_1, PAIR_1, HALF_1, LEAF_4, PAIR_3, PAIR_2] = [
  '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
] as const;
const [LEAF_0 = '', ROOT_2 = '', , ROOT_4 = ''] = CT_ROOTS;
/** [index, size, proof] */
const CT_INCLUSION: [number, number, string[]][] = [
  [0, 1, []],
  [0, 8, [LEAF_1, PAIR_1, HALF_1]],
  [5, 8, [LEAF_4, PAIR_3, ROOT_4]],
  [2, 3, [ROOT_2]],
  [1, 5, [LEAF_0, PAIR_1, LEAF_4]],
];
/** [old size, new size, proof] */
const CT_CONSISTENCY: [number, number, string[]][] = [
  [1, 1, []],
  [1, 8, [LEAF_1, PAIR_1, HALF_1]],
  [6, 8, [PAIR_2, PAIR_3, ROOT_4]],
  [2, 5, [PAIR_1, LEAF_4]],
];

describe('the tree of RFC 6962', () => {
  it('has the published proofs of the CT test vectors', () => {
    const leaves = CT_LEAVES.map(leafHash);
    const [tile = Buffer.alloc(0)] = appendLeaves(EMPTY_EDGE, leaves).rows.map((r) => r.hashes);
    const hashes = hashesOfTile(tile);
    const hex = (proof: readonly Buffer[]) => proof.map((hash) => hash.toString('hex'));
    for (const [index, size, proof] of CT_INCLUSION)
      expect(hex(inclusionProof(index, size, hashes))).toEqual(proof);
    for (const [oldSize, newSize, proof] of CT_CONSISTENCY)
      expect(hex(consistencyProof(oldSize, newSize, hashes))).toEqual(proof);
  });

  it('has the published roots after each leaf of the CT test vectors', () => {
    const hashes = CT_LEAVES.map(leafHash);
    const roots = CT_ROOTS.map((_, i) => rootOfLeaves(hashes.slice(0, i + 1)).toString('hex'));
    expect(roots).toEqual(CT_ROOTS);
  });

  it('has the hash of nothing as the root of nothing', () => {
    const hex = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    expect(emptyRoot().toString('hex')).toBe(hex);
    expect(rootOfLeaves([]).toString('hex')).toBe(hex);
    expect(rootAt(0, () => Buffer.alloc(0)).toString('hex')).toBe(hex);
  });

  it('tells leaves from inner nodes: the same bytes have other hashes', () => {
    const [a, b] = [leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))];
    expect(nodeHash(a, b).equals(leafHash(Buffer.concat([a, b])))).toBe(false);
  });

  it('joins nothing but hashes', () => {
    expect(() => nodeHash(Buffer.alloc(31), Buffer.alloc(32))).toThrow(RangeError);
    expect(() => rootAt(-1, () => Buffer.alloc(32))).toThrow(RangeError);
    expect(() => rootAt(1.5, () => Buffer.alloc(32))).toThrow(RangeError);
  });

  it('has the naive root at every size, from subtrees and leaf by leaf', () => {
    const leaves = someLeaves(140);
    const tree = createRootAccumulator();
    for (let size = 0; size <= leaves.length; size += 1) {
      const expected = naiveRoot(leaves.slice(0, size)).toString('hex');
      expect(rootAt(size, hashesOfTile(Buffer.concat(leaves))).toString('hex')).toBe(expected);
      expect(tree.size()).toBe(size);
      expect(tree.root().toString('hex')).toBe(expected);
      tree.add(leaves[size] ?? Buffer.alloc(32));
    }
  });

  it('changes its root with any leaf', () => {
    const leaves = someLeaves(60);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(), (size, pick) => {
        const changed = leaves.slice(0, size);
        changed[pick % size] = leafHash(Buffer.from('other'));
        expect(rootOfLeaves(changed).equals(rootOfLeaves(leaves.slice(0, size)))).toBe(false);
      }),
    );
  });
});
