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
import { hashesOfTile } from '../../../src/core/audit/tiles.ts';
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

describe('the tree of RFC 6962', () => {
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
