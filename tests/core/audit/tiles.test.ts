import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { rootAt, rootOfLeaves } from '../../../src/core/audit/merkle.ts';
import { consistencyProof, inclusionProof } from '../../../src/core/audit/proofs.ts';
import {
  hashesFromTiles,
  hashesOfTile,
  parseTilePath,
  readTileAt,
  tileLevels,
  tilePath,
  tileWidth,
  type ReadTile,
} from '../../../src/core/audit/tiles.ts';
import {
  EMPTY_EDGE,
  appendLeaves,
  edgeFromTiles,
  rootFromTiles,
  type TreeEdge,
} from '../../../src/core/audit/tree-edge.ts';
import { naiveConsistency, naiveInclusion, naiveRoot, someLeaves } from './naive-tree.ts';

const LEAVES = someLeaves(66_200);

/** Stores tiles as the store does: a row is replaced by its wider successor. */
function tileStore() {
  const rows = new Map<string, Buffer>();
  const read: ReadTile = (level, n) => rows.get(`${level}/${n}`);
  const append = (edge: TreeEdge, leaves: readonly Buffer[]) => {
    const growth = appendLeaves(edge, leaves);
    for (const { level, n, hashes } of growth.rows) {
      const before = rows.get(`${level}/${n}`);
      expect(hashes.subarray(0, before?.length ?? 0)).toEqual(before ?? Buffer.alloc(0));
      expect(before?.length).not.toBe(256 * 32);
      rows.set(`${level}/${n}`, Buffer.from(hashes));
    }
    return growth;
  };
  return { rows, read, append };
}

describe('tile paths', () => {
  it('are those of C2SP tlog-tiles', () => {
    expect(tilePath({ level: 0, n: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067');
    expect(tilePath({ level: 0, n: 0, width: 256 })).toBe('tile/0/000');
    expect(tilePath({ level: 0, n: 1234, width: 17 })).toBe('tile/0/x001/234.p/17');
    expect(tilePath({ level: 'entries', n: 999, width: 1 })).toBe('tile/entries/999.p/1');
    expect(tilePath({ level: 2, n: 1000, width: 256 })).toBe('tile/2/x001/000');
  });

  it('are read back to what they were written from', () => {
    const address = fc.record({
      level: fc.oneof(fc.nat({ max: 63 }), fc.constant('entries' as const)),
      n: fc.oneof(fc.nat({ max: 5000 }), fc.maxSafeNat()),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(address, (tile) => {
        expect(parseTilePath(tilePath(tile))).toEqual(tile);
      }),
    );
  });

  it.each([
    'tile/0/0',
    'tile/0/0000',
    'tile/0/x000/001',
    'tile/0/001/001',
    'tile/0/x001',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/300',
    'tile/0/000.p/',
    'tile/0/000/',
    'tile/0/../000',
    'tile/entry/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    '/tile/0/000',
    'tile/0/000\n',
  ])('refuse %j', (path) => {
    expect(parseTilePath(path)).toBeUndefined();
  });

  it('cannot be made for what is not a tile', () => {
    expect(() => tilePath({ level: 0, n: 0, width: 0 })).toThrow(RangeError);
    expect(() => tilePath({ level: 0, n: 0, width: 257 })).toThrow(RangeError);
    expect(() => tilePath({ level: 0, n: -1, width: 1 })).toThrow(RangeError);
  });

  it('have the widths of the specification', () => {
    expect(tileLevels(0)).toEqual([]);
    expect(tileLevels(256)).toEqual([
      { level: 0, full: 1, partial: 0 },
      { level: 1, full: 0, partial: 1 },
    ]);
    expect(tileLevels(70_000)).toEqual([
      { level: 0, full: 273, partial: 112 },
      { level: 1, full: 1, partial: 17 },
      { level: 2, full: 0, partial: 1 },
    ]);
    expect(tileWidth(70_000, 0, 272)).toBe(256);
    expect(tileWidth(70_000, 0, 273)).toBe(112);
    expect(tileWidth(70_000, 0, 274)).toBe(0);
  });
});

describe('a tree that grows', () => {
  it('has the naive root after every batch, whatever the batches', () => {
    const sizes = fc.array(fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 700 })), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, (batches) => {
        const store = tileStore();
        let edge = EMPTY_EDGE;
        for (const count of batches) {
          const growth = store.append(edge, LEAVES.slice(edge.size, edge.size + count));
          expect(growth.edge.size).toBe(edge.size + count);
          edge = growth.edge;
          expect(growth.root).toEqual(naiveRoot(LEAVES.slice(0, edge.size)));
          expect(edgeFromTiles(edge.size, store.read).partial).toEqual(edge.partial);
        }
        for (const { level, full, partial } of tileLevels(edge.size)) {
          const last = store.read(level, partial > 0 ? full : full - 1);
          expect(last?.length).toBe((partial || 256) * 32);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('crosses 65,536 leaves, and can tell the root of every earlier size', () => {
    const store = tileStore();
    let edge = EMPTY_EDGE;
    for (const end of [65_279, 65_280, 65_535, 65_536, 65_537, 65_792, 66_200]) {
      const growth = store.append(edge, LEAVES.slice(edge.size, end));
      edge = growth.edge;
      expect(growth.root).toEqual(rootOfLeaves(LEAVES.slice(0, end)));
    }
    expect(rootFromTiles(66_200, store.read)).toEqual(naiveRoot(LEAVES));
    expect(store.rows.get('2/0')?.length).toBe(32);
    for (const size of [0, 1, 255, 256, 257, 511, 40_000, 65_535, 65_536, 65_537, 66_199]) {
      const expected = rootOfLeaves(LEAVES.slice(0, size));
      expect(rootFromTiles(size, store.read)).toEqual(expected);
      expect(rootAt(size, hashesFromTiles(size, store.read))).toEqual(expected);
    }
  });

  it('rewrites only the tiles that grew: work does not depend on the size of the log', () => {
    const store = tileStore();
    const { edge } = store.append(EMPTY_EDGE, LEAVES.slice(0, 65_700));
    const growth = store.append(edge, LEAVES.slice(65_700, 65_710));
    expect(growth.rows.map(({ level, n }) => [level, n])).toEqual([[0, 256]]);
    const across = store.append(growth.edge, LEAVES.slice(65_710, 65_800));
    expect(across.rows.map(({ level, n }) => [level, n])).toEqual([
      [0, 256],
      [0, 257],
      [1, 1],
    ]);
    expect(store.append(across.edge, []).rows).toEqual([]);
  });

  it('gives the proofs of the RFC out of its tiles', () => {
    const store = tileStore();
    store.append(EMPTY_EDGE, LEAVES.slice(0, 2000));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat(), (size, pick) => {
        const leaves = LEAVES.slice(0, size);
        const index = pick % size;
        const hashes = hashesFromTiles(size, store.read);
        expect(inclusionProof(index, size, hashes)).toEqual(naiveInclusion(index, leaves));
        expect(consistencyProof(index + 1, size, hashes)).toEqual(
          naiveConsistency(index + 1, leaves),
        );
      }),
      { numRuns: 25 },
    );
  });

  it('reads a tile that has grown since as it was, and says when one is missing', () => {
    const store = tileStore();
    store.append(EMPTY_EDGE, LEAVES.slice(0, 300));
    expect(readTileAt(290, 0, 1, store.read)).toEqual(Buffer.concat(LEAVES.slice(256, 290)));
    expect(() => readTileAt(301, 0, 1, store.read)).toThrow('holds 44 hashes');
    expect(() => rootFromTiles(600, store.read)).toThrow('Tile 2 of level 0 holds 0 hashes');
    expect(() => hashesFromTiles(300, store.read)(0, 300)).toThrow(RangeError);
    expect(() => hashesOfTile(Buffer.alloc(32))(0, 1)).toThrow(RangeError);
  });
});
