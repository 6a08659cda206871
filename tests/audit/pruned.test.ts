/** Any log, pruned anywhere: it is sound exactly where it says itself what is missing, and its archives complete it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import {
  serialiseEntry,
  writeEntry,
  type EntryKind,
  type Json,
} from '../../src/core/audit/entry.ts';
import { leafHash, tree } from '../../src/core/audit/merkle.ts';
import { consistencyProof, inclusionProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { EMPTY_EDGE, appendLeaves } from '../../src/core/audit/tree-edge.ts';
import { verifyConsistency, verifyInclusion } from '../../src/core/tlog/proofs.ts';
import { createVerifier, type LogReport } from '../../src/verify/index.ts';
import { nodePrimitives } from '../../src/verify/node.ts';
import { mirrorOf } from '../vectors/kit.ts';
import { batches, bundleOf, logOf, newLogKey, sampleEntry, type SampleLog } from './sample-log.ts';

const ORIGIN = 'audit.lab.example/sallyport';
const key = newLogKey(ORIGIN);
const SYSTEM = { system: 'broker' } as const;
const verifier = createVerifier(nodePrimitives);
const folder = mkdtempSync(join(tmpdir(), 'sallyport-pruned-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rootOf = (lines: readonly Buffer[]): Uint8Array =>
  appendLeaves(EMPTY_EDGE, lines.map(leafHash)).root;

/** The entry of a pruning, which says that the entries below `before` are in one archive. */
function pruning(index: number, before: number): Buffer {
  const archives = [{ first: 0, before, export: 'exp_1', sha256: 'a'.repeat(64) }];
  return serialiseEntry(
    writeEntry({
      id: `ent_${index}`,
      kind: 'log.pruned',
      at: index,
      actor: { system: 'broker' },
      data: { before, first: 0, archives },
    }),
    { log: ORIGIN, index, committedAt: index, host: 'lab_host' },
  );
}

/** A log of so many entries, one of which says that those below `before` were archived. */
function prunedLog(size: number, before: number, said: number): SampleLog {
  const lines = Array.from({ length: size }, (_, index) =>
    index === said ? pruning(index, before) : sampleEntry(index),
  );
  return logOf(lines, key);
}

/** A mirror of it without the bundles below an index. */
function checkMirror(log: SampleLog, without: number): Promise<LogReport> {
  const files = mirrorOf({
    entries: log.lines,
    root: Buffer.alloc(0),
    checkpoint: log.checkpoint,
    tile: (level, n) => log.tiles.get(`${level}/${n}`),
  });
  for (let n = 0; n * 256 < without; n += 1)
    delete files[`tile/entries/${String(n).padStart(3, '0')}`];
  return verifier.log({ read: (path) => Promise.resolve(files[path]) }, key.verifierKey);
}

async function rangeOf(log: SampleLog, from: number, to: number): Promise<string> {
  const path = join(folder, `${from}-${to}.tar`);
  const entries = batches(log.lines.slice(from, to), 100);
  writeFileSync(path, await bundleOf({ ...log, range: { from, to }, entries }));
  return path;
}

/** Of any size, where it was pruned, and at which of the entries behind that it says so. */
const anyPruned = fc
  .integer({ min: 257, max: 2_400 })
  .chain((size) =>
    fc.record({
      size: fc.constant(size),
      bundles: fc.integer({ min: 1, max: Math.floor((size - 1) / 256) }),
      at: fc.nat(),
    }),
  )
  .map(({ size, bundles, at }) => {
    const before = bundles * 256;
    return { size, before, said: before + (at % (size - before)) };
  });

describe('a log that was pruned', () => {
  it('is sound, as a mirror and as a bundle, and says what was not checked', async () => {
    await fc.assert(
      fc.asyncProperty(anyPruned, async ({ size, before, said }) => {
        const log = prunedLog(size, before, said);
        const report = await checkMirror(log, before);
        const bundle = await verifyBundle(await rangeOf(log, before, size), key.verifierKey);
        for (const one of [report, bundle]) {
          expect([one.status, one.problem, one.entriesChecked]).toEqual([
            'sound',
            undefined,
            size - before,
          ]);
          expect(one.archived?.before).toBe(before);
          expect(one.checked.at(-1)).toContain(`entries 0 to ${before - 1} were archived on`);
        }
        // What was pruned and is there all the same is checked.
        expect(await checkMirror(log, 0)).toMatchObject({ status: 'sound', entriesChecked: size });
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    ['as the pruning says', {}, {}, 'sound'],
    ['to another digest', {}, { sha256: 'b'.repeat(64) }, 'tampered'],
    ['of fewer entries', { to: 256 }, {}, 'tampered'],
    ['and not to its end', {}, undefined, 'incomplete'],
  ])('is held against the entries of its archive, made %s', async (_how, made, done, status) => {
    const about = (index: number, kind: EntryKind, data: Record<string, Json>): Buffer => {
      const draft = { id: `ent_${index}`, kind, at: index, actor: SYSTEM, ref: 'exp_1', data };
      const place = { log: ORIGIN, index, committedAt: index, host: 'lab_host' };
      return serialiseEntry(writeEntry(draft), place);
    };
    const lines = Array.from({ length: 700 }, (_, index) => sampleEntry(index));
    const range = { format: 'archive', from: 0, to: 512, ...made };
    lines[600] = about(600, 'audit.exported', range);
    const digest = { format: 'archive', sha256: 'a'.repeat(64), ...done };
    if (done !== undefined) lines[601] = about(601, 'audit.export_completed', digest);
    lines[650] = pruning(650, 512);
    const log = logOf(lines, key);
    expect((await checkMirror(log, 512)).status).toBe(status);
    expect((await verifyBundle(await rangeOf(log, 512, 700), key.verifierKey)).status).toBe(status);
  });

  it('is incomplete where more is missing than it says, and where it says nothing', async () => {
    await fc.assert(
      fc.asyncProperty(anyPruned, fc.integer({ min: 1, max: 3 }), async (of, more) => {
        const { size, before, said } = of;
        const without = Math.min(before + more * 256, Math.floor((size - 1) / 256) * 256);
        fc.pre(without > before && said >= without);
        const log = prunedLog(size, before, said);
        expect(await checkMirror(log, without)).toMatchObject({
          status: 'incomplete',
          firstBadIndex: before,
        });
        const silent = logOf(
          Array.from({ length: size }, (_, index) => sampleEntry(index)),
          key,
        );
        expect(await checkMirror(silent, before)).toMatchObject({
          status: 'incomplete',
          firstBadIndex: 0,
        });
      }),
      { numRuns: 25 },
    );
  });

  it('shows any changed bit of what is there, and of the hashes of what is not', async () => {
    await fc.assert(
      fc.asyncProperty(anyPruned, fc.nat(), fc.nat(), async (of, which, bit) => {
        const { size, before, said } = of;
        const log = prunedLog(size, before, said);
        const index = before + (which % (size - before));
        const line = Buffer.from(log.lines[index] ?? '');
        line.writeUInt8(line.readUInt8(bit % line.length) ^ 1, bit % line.length);
        const edited = { ...log, lines: log.lines.with(index, line) };
        expect(await checkMirror(edited, before)).toMatchObject({
          status: 'tampered',
          firstBadIndex: index,
        });
        const tiles = new Map(log.tiles);
        const tile = Buffer.from(tiles.get('0/0') ?? '');
        tile.writeUInt8(tile.readUInt8(bit % tile.length) ^ 1, bit % tile.length);
        tiles.set('0/0', tile);
        expect((await checkMirror({ ...log, tiles }, before)).status).toBe('tampered');
      }),
      { numRuns: 25 },
    );
  });

  it('proves every entry, and every earlier size, out of the hash tiles that stay', () => {
    fc.assert(
      fc.property(anyPruned, fc.nat(), ({ size, before, said }, any) => {
        const log = prunedLog(size, before, said);
        const hashes = hashesFromTiles(size, log.tile);
        const root = rootOf(log.lines);
        for (const index of [0, before - 1, before, size - 1, any % size]) {
          const leaf = leafHash(log.lines[index] ?? Buffer.alloc(0));
          const proof = inclusionProof(index, size, hashes);
          expect(verifyInclusion(tree, { index, size, leafHash: leaf, root, proof })).toBe(true);
        }
        for (const oldSize of [1, before - 1, before, 1 + (any % size)]) {
          const consistent = verifyConsistency(tree, {
            oldSize,
            oldRoot: rootOf(log.lines.slice(0, oldSize)),
            newSize: size,
            newRoot: root,
            proof: consistencyProof(oldSize, size, hashes),
          });
          expect(consistent).toBe(true);
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('a stream of entries of a log that was pruned', () => {
  const check = (log: SampleLog, from: number): Promise<LogReport> => {
    const files = mirrorOf({
      entries: log.lines,
      root: Buffer.alloc(0),
      checkpoint: log.checkpoint,
      tile: (level, n) => log.tiles.get(`${level}/${n}`),
    });
    const source = { read: (path: string) => Promise.resolve(files[path]) };
    return verifier.entries(batches(log.lines.slice(from), 77), source, key.verifierKey);
  };

  it('begins where the log says, and nowhere else', async () => {
    const log = prunedLog(1_000, 512, 900);
    expect(await check(log, 512)).toMatchObject({ status: 'sound', entriesChecked: 488 });
    expect(await check(log, 0)).toMatchObject({ status: 'sound', entriesChecked: 1_000 });
    expect(await check(log, 768)).toMatchObject({ status: 'incomplete', firstBadIndex: 512 });
    expect(await check(log, 513)).toMatchObject({ status: 'tampered', firstBadIndex: 0 });
    expect(await check(log, 1_000)).toMatchObject({ status: 'incomplete', firstBadIndex: 0 });
  });
});

describe('an archive', () => {
  it('is checked where it is meant to be one, and is incomplete where it is not', async () => {
    await fc.assert(
      fc.asyncProperty(anyPruned, async ({ size, before, said }) => {
        const path = await rangeOf(prunedLog(size, before, said), 0, before);
        const alone = await verifyBundle(path, key.verifierKey);
        expect(alone).toMatchObject({ status: 'incomplete', firstBadIndex: before });
        const meant = await verifyBundle(path, key.verifierKey, undefined, undefined, true);
        expect(meant).toMatchObject({ status: 'sound', range: { from: 0, to: before } });
        expect(meant.entriesChecked).toBe(before);
      }),
      { numRuns: 10 },
    );
  });

  it('cannot be made of a whole bundle by leaving out its end', async () => {
    const log = prunedLog(700, 256, 600);
    const whole = join(folder, 'whole.tar');
    writeFileSync(whole, await bundleOf(log));
    expect((await verifyBundle(whole, key.verifierKey)).status).toBe('sound');
    // The same with a manifest of a range: what nobody meant to be an archive is incomplete.
    const short = await verifyBundle(await rangeOf(log, 0, 512), key.verifierKey);
    expect(short).toMatchObject({ status: 'incomplete', firstBadIndex: 512 });
    expect(short.problem).toContain('it is an archive');
  });
});
