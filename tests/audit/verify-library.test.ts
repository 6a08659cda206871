import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTlogProof } from '../../src/core/audit/tlog-proof.ts';
import { consistencyProof, inclusionProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { createVerifier, type LogSource } from '../../src/verify/index.ts';
import { nodePrimitives } from '../../src/verify/node.ts';
import { mirrorOf } from '../vectors/kit.ts';
import { batches, logOf, newLogKey, sampleEntry, sampleLog, type SampleLog } from './sample-log.ts';

const verifier = createVerifier(nodePrimitives);
const dist = join(import.meta.dirname, '..', '..', 'dist');

const sourceOf = (
  log: SampleLog,
  change: (path: string, bytes: Buffer) => Buffer = (_, b) => b,
) => {
  const files = mirrorOf({
    entries: log.lines,
    root: Buffer.alloc(0),
    checkpoint: log.checkpoint,
    tile: (level, n) => log.tiles.get(`${level}/${n}`),
  });
  const read: LogSource['read'] = (path) => {
    const bytes = files[path];
    return Promise.resolve(bytes && change(path, bytes));
  };
  return { files, source: { read } };
};

const receiptOf = (log: SampleLog, index: number): string => {
  const size = log.lines.length;
  return formatTlogProof(
    index,
    inclusionProof(index, size, hashesFromTiles(size, log.tile)),
    log.checkpoint,
  );
};

/** Every file that a module of dist loads, by what it imports. */
function graphOf(entry: string): { files: string[]; outside: string[] } {
  const files = new Set<string>();
  const outside = new Set<string>();
  const visit = (path: string): void => {
    if (files.has(path)) return;
    files.add(path);
    const code = readFileSync(path, 'utf8');
    for (const [, from, dynamic] of code.matchAll(
      /^(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm,
    )) {
      const name = from ?? dynamic ?? '';
      if (name.startsWith('.')) visit(join(dirname(path), name));
      else if (name.startsWith('@noble/')) visit(resolvePackage(path, name));
      else outside.add(name);
    }
  };
  visit(entry);
  return { files: [...files], outside: [...outside] };
}

function resolvePackage(from: string, name: string): string {
  const found = createRequire(from).resolve(name);
  return found.startsWith('file:') ? fileURLToPath(found) : found;
}

describe('sallyport/verify', () => {
  it.each(['index', 'browser'])('%s loads nothing of Node', (name) => {
    const { files, outside } = graphOf(join(dist, 'verify', `${name}.js`));
    expect(outside).toEqual([]);
    expect(files.length).toBeGreaterThan(2);
    for (const file of files)
      expect([
        file,
        /\b(?:Buffer|process)\.\w+|\brequire\(/.exec(readFileSync(file, 'utf8'))?.[0],
      ]).toEqual([file, undefined]);
  });

  it('runs where there are no globals of Node', () => {
    const log = sampleLog(300);
    const { files } = sourceOf(log);
    const input = {
      dist: pathToFileURL(`${dist}/`).href,
      key: log.verifierKey,
      entry: log.lines[7]?.toString('base64'),
      receipt: receiptOf(log, 7),
      files: Object.fromEntries(
        Object.entries(files).map(([path, bytes]) => [path, bytes.toString('base64')]),
      ),
    };
    const told = execFileSync(
      process.execPath,
      ['--experimental-vm-modules', '--no-warnings', join(import.meta.dirname, 'bare-world.mjs')],
      { input: JSON.stringify(input), encoding: 'utf8' },
    );
    expect(JSON.parse(told)).toEqual({
      globals: 'undefined undefined undefined',
      receipt: 'sound',
      log: 'sound',
      entries: 300,
      tampered: 7,
    });
  });

  it('is what the package exports under that name', async () => {
    const { exports } = JSON.parse(readFileSync(join(dist, '..', 'package.json'), 'utf8')) as {
      exports: Record<string, { default: string; types: string }>;
    };
    for (const name of ['./verify', './verify/node', './verify/browser']) {
      const { default: code, types } = exports[name] ?? { default: '', types: '' };
      expect(Object.keys((await import(join(dist, '..', code))) as object)).not.toEqual([]);
      expect(readFileSync(join(dist, '..', types), 'utf8')).toContain('export');
    }
  });
});

describe('a stream of entries', () => {
  const log = sampleLog(700);
  const { source } = sourceOf(log);
  const check = (lines: readonly Buffer[], piece = 90) =>
    verifier.entries(batches(lines, piece), source, log.verifierKey);

  it('is sound in pieces of any number', async () => {
    for (const piece of [1, 255, 256, 257, 1000]) {
      expect(await check(log.lines, piece)).toMatchObject({ status: 'sound', entriesChecked: 700 });
    }
  });

  it('that is wrong anywhere names the first index', async () => {
    const index = fc.nat({ max: 698 });
    await fc.assert(
      fc.asyncProperty(index, fc.nat(), async (at, seed) => {
        const line = Buffer.from(log.lines[at] ?? '');
        const byte = seed % line.length;
        line[byte] = (line[byte] ?? 0) ^ 1;
        const tampered = { status: 'tampered', firstBadIndex: at };
        expect(await check(log.lines.with(at, line))).toMatchObject(tampered);
        expect(await check(log.lines.toSpliced(at, 1))).toMatchObject(tampered);
        const next = log.lines[at + 1] ?? Buffer.alloc(0);
        expect(await check(log.lines.toSpliced(at, 2, next, log.lines[at] ?? next))).toMatchObject(
          tampered,
        );
        expect(await check(log.lines.slice(0, at))).toMatchObject({
          status: 'incomplete',
          firstBadIndex: at,
          entriesChecked: at,
        });
      }),
      { numRuns: 60 },
    );
    const more = await check([...log.lines, sampleEntry(700)]);
    expect(more).toMatchObject({ status: 'tampered', firstBadIndex: 700 });
  });

  it('gives each entry that was found right, once and in order', async () => {
    const given: number[] = [];
    await verifier.entries(batches(log.lines, 90), source, log.verifierKey, {
      onEntry: (bytes) =>
        given.push((JSON.parse(Buffer.from(bytes).toString()) as { index: number }).index),
    });
    expect(given).toEqual(log.lines.map((_, index) => index));
  });
});

describe('one flipped bit', () => {
  const small = sampleLog(3);
  const other = newLogKey();

  it('anywhere in a checkpoint is found', () => {
    const note = Buffer.from(small.checkpoint);
    for (let bit = 0; bit < note.length * 8; bit += 1) {
      const changed = Buffer.from(note);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect([bit, verifier.checkpoint(changed, small.verifierKey).status]).toEqual([
        bit,
        'tampered',
      ]);
    }
  });

  it('anywhere in a receipt or its entry is found', () => {
    const receipt = Buffer.from(receiptOf(small, 1));
    const entry = small.lines[1] ?? Buffer.alloc(0);
    const statusOf = (e: Buffer, r: Buffer): string =>
      verifier.receipt(
        e,
        r.toString('latin1').replaceAll('\u00e2\u0080\u0094', '\u2014'),
        small.verifierKey,
      ).status;
    expect(statusOf(entry, receipt)).toBe('sound');
    for (const [which, bytes] of [receipt, entry].entries()) {
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const status = which === 0 ? statusOf(entry, changed) : statusOf(changed, receipt);
        expect([which, bit, status]).toEqual([which, bit, 'tampered']);
      }
    }
  });

  it('anywhere in the files of a mirror is found', async () => {
    const { files } = sourceOf(small);
    for (const [path, bytes] of Object.entries(files)) {
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const { source } = sourceOf(small, (asked, content) => {
          if (asked !== path) return content;
          const changed = Buffer.from(content);
          changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          return changed;
        });
        const { status } = await verifier.log(source, small.verifierKey);
        expect([path, bit, ['tampered', 'incomplete'].includes(status)]).toEqual([path, bit, true]);
      }
    }
  });

  it('is found in none of them by a key that is another', () => {
    expect(verifier.checkpoint(small.checkpoint, other.verifierKey).status).toBe('tampered');
    // Which of two keys of one log counts, only the history of its keys says.
    const both = [other.verifierKey, small.verifierKey];
    expect(verifier.checkpoint(small.checkpoint, both).status).toBe('could_not_run');
    expect(verifier.checkpoint(small.checkpoint, []).status).toBe('could_not_run');
  });
});

describe('any two moments of any log', () => {
  const key = newLogKey();
  const moments = fc
    .integer({ min: 1, max: 400 })
    .chain((newSize) => fc.tuple(fc.constant(newSize), fc.integer({ min: 1, max: newSize })));
  const logsOf = (newSize: number, oldSize: number) => {
    const lines = Array.from({ length: newSize }, (_, index) => sampleEntry(index));
    const newer = logOf(lines, key);
    const proof = consistencyProof(oldSize, newSize, hashesFromTiles(newSize, newer.tile));
    return { lines, newer, older: logOf(lines.slice(0, oldSize), key), proof };
  };
  const verdicts = async (from: SampleLog, to: SampleLog, proof: Buffer[]) => [
    verifier.consistency(from.checkpoint, to.checkpoint, proof, key.verifierKey).status,
    (await verifier.log(sourceOf(to).source, key.verifierKey, { seen: from.checkpoint })).status,
  ];

  it('are consistent by the proof between them', async () => {
    await fc.assert(
      fc.asyncProperty(moments, async ([newSize, oldSize]) => {
        const { newer, older, proof } = logsOf(newSize, oldSize);
        expect(await verdicts(older, newer, proof)).toEqual(['sound', 'sound']);
      }),
      { numRuns: 40 },
    );
  });

  it('of two logs are not', async () => {
    await fc.assert(
      fc.asyncProperty(moments, fc.nat(), async ([newSize, oldSize], seed) => {
        const { lines, newer, proof } = logsOf(newSize, oldSize);
        const other = lines.slice(0, oldSize).with(seed % oldSize, sampleEntry(9999));
        expect(await verdicts(logOf(other, key), newer, proof)).toEqual(['tampered', 'tampered']);
      }),
      { numRuns: 40 },
    );
  });
});
