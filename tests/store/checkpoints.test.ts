import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkConsistency, openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { consistencyProof, inclusionProof, verifyInclusion } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles, type ReadTile } from '../../src/core/audit/tiles.ts';
import { mintId } from '../../src/lib/ids.ts';
import { naiveRoot } from '../core/audit/naive-tree.ts';
import {
  LocalWriter,
  anEntry,
  by,
  entriesOf,
  makeDataDirectory,
  makeWorld,
  newPerson,
  openThreadStore,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;

interface Noted {
  size: number;
  note: string;
}

describe('invariant 9: append-only; checkpoints of a log that grows in batches of any size', () => {
  const batches = fc.array(
    fc.record({
      entries: fc.oneof(fc.nat(5), fc.nat(120), fc.constantFrom(255, 256, 257)),
      reopen: fc.boolean(),
    }),
    { minLength: 2, maxLength: 7 },
  );

  const tilesOf =
    (writer: LocalWriter): ReadTile =>
    (level, n) =>
      writer.context.db.$client
        .prepare('SELECT hashes FROM tiles WHERE level = ? AND n = ?')
        .pluck()
        .get(level, n) as Buffer | undefined;

  const keyOf = (writer: LocalWriter): string =>
    (writer.context.log as unknown as { verifierKey: string }).verifierKey;

  test('are each consistent with every earlier one, and have the root of the stored bytes', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (plan) => {
        const directory = makeDataDirectory();
        let writer = new LocalWriter(directory, NOW);
        const noted: Noted[] = [];
        for (const { entries, reopen } of plan) {
          writer.commit(
            ...Array.from({ length: entries }, () => writer.call('recordEntry', anEntry(NOW))),
          );
          noted.push(await writer.write('publishCheckpoint', { at: NOW }));
          if (!reopen) continue;
          writer.close();
          writer = new LocalWriter(directory, NOW);
        }
        const key = keyOf(writer);
        const leaves = writer.context.db.$client
          .prepare('SELECT leaf FROM entries ORDER BY idx')
          .pluck()
          .all() as Buffer[];
        // Proofs come from the tiles as they stand at the end, for every pair of sizes.
        const tiles = tilesOf(writer);
        for (const [i, newer] of noted.entries()) {
          const { root, size } = openCheckpoint(newer.note, key);
          expect(size).toBe(newer.size);
          expect(root.equals(naiveRoot(leaves.slice(0, size)))).toBe(true);
          const hashes = hashesFromTiles(newer.size, tiles);
          for (const older of noted.slice(0, i)) {
            const proof = consistencyProof(older.size, newer.size, hashes);
            expect(checkConsistency(older.note, newer.note, key, proof)).toEqual({
              consistent: true,
            });
          }
          if (size === 0) continue;
          const last = {
            index: size - 1,
            size,
            root,
            leafHash: leaves[size - 1] as Buffer,
            proof: inclusionProof(size - 1, size, hashes),
          };
          expect(verifyInclusion(last)).toBe(true);
        }
        writer.close();
      }),
      { numRuns: 12 },
    );
  });

  test('are not made where nothing was added', async () => {
    const writer = new LocalWriter(makeDataDirectory(), NOW);
    await writer.write('recordEntry', anEntry(NOW));
    const first = await writer.write('publishCheckpoint', { at: NOW });
    expect(await writer.write('publishCheckpoint', { at: NOW + 1 })).toEqual(first);
    expect(writer.count('checkpoints')).toBe(1);
  });

  test('fix what is exported, so that the entry about the export comes after it', async () => {
    const writer = new LocalWriter(makeDataDirectory(), NOW);
    const { admin, host } = await makeWorld(writer.write, NOW);
    const auditor = newPerson('Kim', 'auditor');
    await writer.write('createPerson', { by: by(admin, NOW), labId: host, person: auditor });
    const { size } = writer.context;
    const fixed = await writer.write('recordExport', {
      by: by(auditor.id, NOW),
      id: mintId('exp', NOW),
      format: 'bundle',
      from: 0,
      filter: {},
    });
    expect(fixed.size).toBe(size);
    expect(writer.entries()[size]).toMatchObject({
      kind: 'audit.exported',
      data: { size, checkpoint: fixed.note },
    });
  });
});

test('the writer thread signs a last checkpoint over everything before it ends', async () => {
  const directory = makeDataDirectory();
  const first = await openThreadStore(directory);
  await Promise.all(
    Array.from({ length: 300 }, () => first.write('recordEntry', anEntry(Date.now()))),
  );
  await first.close();
  const again = await openThreadStore(directory);
  const last = again.readers.latestCheckpoint();
  expect(last?.size).toBe(300);
  expect(openCheckpoint(last?.note as string, again.store.verifierKey).size).toBe(300);
  expect(entriesOf(again.readers)).toHaveLength(300);
});
