import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  ENTRIES_PER_FILE,
  belongsToBundle,
  bundleEntriesFiles,
} from '../../src/audit/bundle-layout.ts';
import { tilesOf } from '../../src/core/tlog/tiles.ts';
import { evidenceBundle } from '../../src/audit/bundle.ts';
import { batches, bundleOf, newLogKey, sampleEntry, sampleLog, unpack } from './sample-log.ts';

const log = sampleLog(2100);

describe('an evidence bundle', () => {
  it('holds manifest, checkpoint, key, tiles and entries, in this order', async () => {
    const files = await unpack(await bundleOf(log));
    expect(files.map(({ name }) => name)).toEqual([
      'manifest.json',
      'checkpoint',
      'verifier-key',
      ...Array.from({ length: 8 }, (_, n) => `tile/0/00${n}`),
      'tile/0/008.p/52',
      'tile/1/000.p/8',
      'entries/000000000000.jsonl',
      'entries/000000001024.jsonl',
      'entries/000000002048.jsonl',
    ]);
    const content = (name: string) =>
      files.find((file) => file.name === name)?.content.toString('utf8');
    expect(content('checkpoint')).toBe(log.checkpoint);
    expect(content('verifier-key')).toBe(`${log.verifierKey}\n`);
    expect(JSON.parse(content('manifest.json') ?? '')).toEqual({
      format: 'sallyport-evidence/1',
      origin: 'audit.lab.example/sallyport',
      range: [0, 2100],
      entries: 2100,
      checkpointSha256: createHash('sha256').update(log.checkpoint).digest('hex'),
    });
    const lines = files.filter(({ name }) => name.startsWith('entries/'));
    expect(Buffer.concat(lines.map((file) => file.content)).toString('utf8')).toBe(
      log.lines.map((line) => `${line.toString('utf8')}\n`).join(''),
    );
  });

  it('is the same, byte for byte, whenever and in whatever batches it is made', async () => {
    const once = await bundleOf(log);
    async function* slowly() {
      for (const batch of batches(log.lines, 37)) {
        await Promise.resolve();
        yield batch;
      }
    }
    expect((await bundleOf({ ...log, entries: slowly() })).equals(once)).toBe(true);
  });

  it('unpacks with the system’s tar', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-tar-'));
    writeFileSync(join(folder, 'bundle.tar'), await bundleOf(log));
    const listed = execFileSync('tar', ['tf', join(folder, 'bundle.tar')], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(listed.split('\n')).toContain('entries/000000001024.jsonl');
  });

  it('is of the checkpoint, though the log has grown since', async () => {
    const young = sampleLog(1500);
    const grown = { ...young, tile: log.tile, entries: batches(log.lines, 100) };
    expect((await bundleOf(grown)).equals(await bundleOf(young))).toBe(true);
  });

  it('of an empty log has no tiles and no entries', async () => {
    const files = await unpack(await bundleOf(sampleLog(0)));
    expect(files.map(({ name }) => name)).toEqual(['manifest.json', 'checkpoint', 'verifier-key']);
  });

  it('asks for entries only as fast as it is read, and closes their iterator when it is given up', async () => {
    const longer = sampleLog(6000);
    const seen = { asked: 0, closed: false };
    async function* counted() {
      try {
        for (const batch of batches(longer.lines, 64)) {
          seen.asked += batch.length;
          yield batch;
        }
      } finally {
        seen.closed = true;
      }
    }
    const stream = evidenceBundle({ ...longer, entries: counted() });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen.asked).toBe(0);
    const reading = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    while (seen.asked === 0) await reading.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen.asked).toBeLessThanOrEqual(2 * ENTRIES_PER_FILE + 64);
    expect(seen.closed).toBe(false);
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(seen.closed).toBe(true);
  });

  it('fails, and does not just end, when entries or tiles are missing or are not one line', async () => {
    const short = { ...log, entries: batches(log.lines.slice(0, 2099), 100) };
    await expect(bundleOf(short)).rejects.toThrow('only 2099 were found');
    const noTile = (level: number, n: number) => (n === 3 ? undefined : log.tile(level, n));
    await expect(bundleOf({ ...log, tile: noTile })).rejects.toThrow('Tile 3 of level 0');
    const two = log.lines.with(5, Buffer.from('{}\n{}'));
    await expect(bundleOf({ ...log, entries: batches(two, 100) })).rejects.toThrow('Entry 5');
    const long = log.lines.with(6, Buffer.alloc(65_536, 'x'));
    await expect(bundleOf({ ...log, entries: batches(long, 100) })).rejects.toThrow('Entry 6');
    // eslint-disable-next-line require-yield
    async function* broken(): AsyncGenerator<Buffer[]> {
      throw new Error('disk on fire');
    }
    await expect(buffer(evidenceBundle({ ...log, entries: broken() }))).rejects.toThrow(
      'disk on fire',
    );
  });

  it('is not begun with a key that did not sign the checkpoint', () => {
    expect(() => evidenceBundle({ ...log, verifierKey: newLogKey().verifierKey })).toThrow(
      'but not by',
    );
  });
});

describe('the layout', () => {
  it('gives every file of a bundle its place, and no other name', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat({ max: 3000 }), fc.nat({ max: 200_000 })), (size) => {
        const paths = [
          'manifest.json',
          'checkpoint',
          'verifier-key',
          ...[...tilesOf(size)].map(({ path }) => path),
          ...[...bundleEntriesFiles({ from: 0, to: size })].map(({ path }) => path),
        ];
        expect(paths.filter((path) => !belongsToBundle(path, size))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it.each([
    'tile/0/008',
    'tile/0/008.p/51',
    'tile/0/009',
    'tile/2/000.p/1',
    'tile/entries/000',
    'entries/000000000001.jsonl',
    'entries/000000003072.jsonl',
    'entries/0.jsonl',
    'entries/0000000000000.jsonl',
    'entries/../checkpoint',
    'Manifest.json',
    '',
  ])('has no place for %j in a log of 2,100 entries', (path) => {
    expect(belongsToBundle(path, 2100)).toBe(false);
  });

  it('keeps a file of entries below what a tar header and memory can take', () => {
    const [longest] = [ENTRIES_PER_FILE * (65_535 + 1)];
    expect(longest).toBeLessThanOrEqual(64 * 1024 * 1024);
    expect(sampleEntry(0).length).toBeGreaterThan(0);
  });
});
