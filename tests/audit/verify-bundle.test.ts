import { chmodSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { EXIT_CODES, verifyBundle, type BundleReport } from '../../src/audit/verify-bundle.ts';
import {
  bundleOf,
  logOf,
  newLogKey,
  repack,
  sampleEntry,
  sampleLog,
  unpack,
  type SampleLog,
  type TarFile,
} from './sample-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-verify-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'bundle.tar');

/** Two full files of entries and a short one; two levels of tiles. */
const log: SampleLog = sampleLog(2100);
let tar: Buffer;
let files: TarFile[];
/** A small one, of two tiles and one file of entries, for tests that verify hundreds of times. */
const smallLog = sampleLog(300);
let small: Buffer;

beforeAll(async () => {
  tar = await bundleOf(log);
  files = await unpack(tar);
  small = await bundleOf(smallLog);
});

function verify(bundle: Buffer, key = log.verifierKey): Promise<BundleReport> {
  writeFileSync(path, bundle);
  return verifyBundle(path, key);
}

/** The bundle with one file's content replaced; left out when it becomes undefined. */
async function withFile(
  name: string,
  change: (content: Buffer) => Buffer | undefined,
): Promise<Buffer> {
  expect(files.map((file) => file.name)).toContain(name);
  const changed = files.flatMap((file) => {
    const content = file.name === name ? change(file.content) : file.content;
    return content === undefined ? [] : [{ ...file, content }];
  });
  return repack(changed);
}

/** The bundle's archive over other entries, with everything else as signed. */
function withLines(lines: readonly Buffer[]): Promise<Buffer> {
  const perFile = [lines.slice(0, 1024), lines.slice(1024, 2048), lines.slice(2048)];
  const names = files.map(({ name }) => name).filter((name) => name.startsWith('entries/'));
  const rest = files.filter(({ name }) => !name.startsWith('entries/'));
  const text = (some: readonly Buffer[]) =>
    Buffer.concat(some.flatMap((l) => [l, Buffer.from('\n')]));
  return repack([...rest, ...names.map((name, i) => ({ name, content: text(perFile[i] ?? []) }))]);
}

function flip(bytes: Buffer, at: number, mask = 1): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ mask, at);
  return copy;
}

describe('a bundle as it was made', () => {
  it.each([0, 1, 2, 255, 256, 257, 1024, 1025])('of %i entries is sound', async (size) => {
    const some = sampleLog(size);
    const report = await verify(await bundleOf(some), some.verifierKey);
    expect(report).toMatchObject({ status: 'sound', size, entriesChecked: size });
    expect(report.problem).toBeUndefined();
    expect(report.firstBadIndex).toBeUndefined();
  });

  it('is sound across 65,536 entries, and says what was checked', async () => {
    const big = sampleLog(65_800);
    const report = await verify(await bundleOf(big), ` ${big.verifierKey}\n`);
    expect(report).toMatchObject({
      status: 'sound',
      origin: 'audit.lab.example/sallyport',
      size: 65_800,
      root: big.checkpoint.split('\n')[2],
      entriesChecked: 65_800,
    });
    expect(report.checked).toHaveLength(5);
    expect(report.checked[0]).toContain('checkpoint of 65800 entries signed by audit.lab.example');
  });

  it('is sound when general tar software packed it, or it was unpacked', async () => {
    expect(await verify(await repack(files))).toMatchObject({ status: 'sound' });
    expect(await verifyBundle(unpackTo('as-made', files), log.verifierKey)).toEqual(
      await verify(tar),
    );
  });

  it('has an exit code for each status', () => {
    expect(EXIT_CODES).toEqual({ sound: 0, tampered: 1, incomplete: 2, could_not_run: 3 });
  });
});

describe('a changed entry', () => {
  it('is named', async () => {
    for (const index of [0, 255, 256, 1023, 1024, 2099]) {
      const line = log.lines[index] ?? Buffer.alloc(0);
      const changed = log.lines.with(index, flip(line, line.length - 5));
      expect(await verify(await withLines(changed))).toMatchObject({
        status: 'tampered',
        firstBadIndex: index,
        problem: `Entry ${index} was changed.`,
        entriesChecked: index,
      });
    }
  });

  it('is named when it was made longer than an entry can be', async () => {
    const report = await verify(await withLines(log.lines.with(7, Buffer.alloc(600_000, 'x'))));
    expect(report).toMatchObject({ status: 'tampered', firstBadIndex: 7 });
  });

  it('is named when it claims another place', async () => {
    const report = await verify(
      await withLines(log.lines.with(7, sampleEntry(8, 'other.example'))),
    );
    expect(report).toMatchObject({ status: 'tampered', firstBadIndex: 7 });
    expect(report.problem).toBe('Entry 7 was changed.');
  });

  it('is found where the archive is damaged or cut later on', async () => {
    const line = log.lines[100] ?? Buffer.alloc(0);
    const changed = await withLines(log.lines.with(100, flip(line, 9)));
    const expected = { status: 'tampered', firstBadIndex: 100 };
    expect(await verify(changed.subarray(0, changed.length - 200_000))).toMatchObject(expected);
    const at = changed.indexOf('entries/000000001024.jsonl');
    expect(await verify(flip(changed, at))).toMatchObject(expected);
  });
});

describe('entries that were', () => {
  const problemOf = async (lines: readonly Buffer[]) => {
    const { status, firstBadIndex, problem } = await verify(await withLines(lines));
    return [status, firstBadIndex, problem];
  };
  const entry = (index: number) => log.lines[index] ?? Buffer.alloc(0);

  it('removed are named', async () => {
    expect(await problemOf(log.lines.toSpliced(0, 1))).toEqual([
      'tampered',
      0,
      'Entry 0 was removed: entry 1 stands there instead.',
    ]);
    expect(await problemOf(log.lines.toSpliced(300, 20))).toEqual([
      'tampered',
      300,
      'Entries 300 to 319 were removed: entry 320 stands there instead.',
    ]);
    expect(await problemOf(log.lines.toSpliced(2098, 1))).toEqual([
      'tampered',
      2098,
      'Entry 2098 was removed: entry 2099 stands there instead.',
    ]);
  });

  it('cut off at the end are missing, not tampered with', async () => {
    const [status, index, problem] = await problemOf(log.lines.slice(0, 2099));
    expect([status, index]).toEqual(['incomplete', 2099]);
    expect(problem).toContain('entry 2099');
    expect((await problemOf(log.lines.slice(0, 2048))).slice(0, 2)).toEqual(['incomplete', 2048]);
  });

  it('duplicated are named', async () => {
    expect(await problemOf(log.lines.toSpliced(51, 0, entry(50)))).toEqual([
      'tampered',
      51,
      'Entry 50 stands a second time before entry 51.',
    ]);
    const [status, index, problem] = await problemOf([...log.lines, entry(2099)]);
    expect([status, index]).toEqual(['tampered', 2100]);
    expect(problem).toContain('goes on after entry 2099');
  });

  it('exchanged are named', async () => {
    const swapped = log.lines.with(10, entry(900)).with(900, entry(10));
    expect((await problemOf(swapped)).slice(0, 2)).toEqual(['tampered', 10]);
    expect((await problemOf(swapped))[2]).toContain('Entry 900 stands in the place of entry 10');
    const neighbours = log.lines.with(10, entry(11)).with(11, entry(10));
    expect((await problemOf(neighbours))[2]).toContain('Entry 11 stands in the place of entry 10');
    expect((await problemOf(log.lines.toReversed()))[1]).toBe(0);
    const copied = log.lines.with(10, entry(3));
    expect((await problemOf(copied))[2]).toContain('Entry 3 stands in the place of entry 10');
  });

  it('added are named', async () => {
    const forged = sampleEntry(2100);
    expect((await problemOf([...log.lines, forged])).slice(0, 2)).toEqual(['tampered', 2100]);
    expect((await problemOf(log.lines.toSpliced(40, 0, forged))).slice(0, 3)).toEqual([
      'tampered',
      40,
      'Entry 40 was changed.',
    ]);
  });

  it('moved from one file to the next are not accepted', async () => {
    const last = entry(1023);
    const first = await withFile('entries/000000000000.jsonl', (c) =>
      c.subarray(0, c.length - last.length - 1),
    );
    expect(await verify(first)).toMatchObject({ status: 'incomplete', firstBadIndex: 1023 });
    const grown = await withFile('entries/000000000000.jsonl', (c) =>
      Buffer.concat([c, entry(1024), Buffer.from('\n')]),
    );
    expect(await verify(grown)).toMatchObject({ status: 'tampered', firstBadIndex: 1024 });
  });

  it('signed with a wrong place are held against the log itself', async () => {
    const wrongIndex = logOf(Array.from({ length: 20 }, (_, i) => sampleEntry(i === 12 ? 99 : i)));
    expect(await verify(await bundleOf(wrongIndex), wrongIndex.verifierKey)).toMatchObject({
      status: 'tampered',
      firstBadIndex: 12,
    });
    const lines = Array.from({ length: 20 }, (_, i) =>
      sampleEntry(i, i === 5 ? 'other' : undefined),
    );
    const wrongLog = logOf(lines);
    expect(await verify(await bundleOf(wrongLog), wrongLog.verifierKey)).toMatchObject({
      status: 'tampered',
      firstBadIndex: 5,
    });
    const noJson = logOf([sampleEntry(0), Buffer.from('not json')]);
    expect(await verify(await bundleOf(noJson), noJson.verifierKey)).toMatchObject({
      status: 'tampered',
      firstBadIndex: 1,
    });
  });
});

describe('a changed hash tile', () => {
  it.each(['tile/0/000', 'tile/0/003', 'tile/0/008.p/52', 'tile/1/000.p/8'])(
    '%s is named, and no entry is blamed',
    async (name) => {
      for (const at of [0, 40, 300, 800, 1600]) {
        const report = await verify(await withFile(name, (c) => flip(c, at % c.length)));
        expect(report.status).toBe('tampered');
        expect(report.problem).toContain(`The hash tile ${name} was changed`);
        expect(report.entriesChecked).toBe(2100);
        expect(report.firstBadIndex).toBeUndefined();
      }
    },
  );

  it('of an upper level is named where it is full', async () => {
    const big = sampleLog(65_600);
    const all = await unpack(await bundleOf(big));
    const changed = all.map((f) =>
      f.name === 'tile/1/000' ? { ...f, content: flip(f.content, 77) } : f,
    );
    const report = await verify(await repack(changed), big.verifierKey);
    expect(report.problem).toContain('The hash tile tile/1/000 was changed; all 65600 entries');
    expect(report.firstBadIndex).toBeUndefined();
  });

  it('together with its entry names both', async () => {
    const forged = logOf(log.lines.with(600, sampleEntry(600, 'audit.lab.example/sallyport-')));
    // Tiles and entries of a rewritten log, below the checkpoint of the true one.
    const rewritten = await unpack(await bundleOf(forged));
    const rest = files.slice(0, 3);
    const report = await verify(await repack([...rest, ...rewritten.slice(3)]));
    expect(report.status).toBe('tampered');
    expect(report.problem).toContain('entries were changed as well as tiles');
    const tile = forged.tiles.get('0/2') ?? Buffer.alloc(0);
    const both = await repack(
      (await unpack(await withLines(forged.lines))).map((f) =>
        f.name === 'tile/0/002' ? { ...f, content: tile } : f,
      ),
    );
    expect((await verify(both)).status).toBe('tampered');
  });

  it('of the wrong length is cut short or tampered with', async () => {
    const shorter = await withFile('tile/0/003', (c) => c.subarray(32));
    expect(await verify(shorter)).toMatchObject({ status: 'incomplete' });
    const longer = await withFile('tile/0/003', (c) => Buffer.concat([c, c.subarray(0, 32)]));
    expect(await verify(longer)).toMatchObject({ status: 'tampered' });
  });
});

describe('a missing file', () => {
  it('makes the bundle incomplete, and is named', async () => {
    for (const { name } of files) {
      const report = await verify(await withFile(name, () => undefined));
      expect([name, report.status]).toEqual([name, 'incomplete']);
      expect(report.problem).toContain(name);
    }
  });

  it('of entries says which entry is the first that is lost', async () => {
    const report = await verify(await withFile('entries/000000001024.jsonl', () => undefined));
    expect(report).toMatchObject({ firstBadIndex: 1024, entriesChecked: 1024 });
  });
});

describe('files', () => {
  it('that stand twice or do not belong are tampering', async () => {
    const [, , , first] = files;
    if (!first) throw new Error('too few files');
    const orders = [
      [...files, first],
      files.toSpliced(4, 0, first),
      [...files, { name: 'entries/000000003072.jsonl', content: log.lines[0] ?? Buffer.alloc(0) }],
      [...files.slice(0, 3), { name: 'note.txt', content: Buffer.from('hi') }, ...files.slice(3)],
      [...files, { name: '../../evil', content: Buffer.from('hi') }],
    ];
    for (const order of orders) {
      expect(await verify(await repack(order))).toMatchObject({ status: 'tampered' });
    }
    expect((await verify(await repack([...files, first]))).problem).toContain(
      `holds ${first.name} twice`,
    );
  });

  it('that come in another order are the same bundle', async () => {
    const report = await verify(tar);
    const byName = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const order of [files.toReversed(), byName]) {
      expect(await verify(await repack(order))).toEqual(report);
    }
    const line = log.lines[1500] ?? Buffer.alloc(0);
    const changed = await unpack(await withLines(log.lines.with(1500, flip(line, 3))));
    expect(await verify(await repack(changed.toReversed()))).toMatchObject({
      status: 'tampered',
      firstBadIndex: 1500,
    });
    const cut = await repack(files.toReversed());
    expect(await verify(cut.subarray(0, cut.length - 3000))).toMatchObject({
      status: 'incomplete',
    });
  });

  it('that are not plain, or follow the end, are tampering', async () => {
    const more = Buffer.concat([tar, Buffer.alloc(512), Buffer.from('more')]);
    expect(await verify(more)).toMatchObject({ status: 'tampered' });
    expect(await verify(Buffer.concat([tar, Buffer.alloc(9 * 1024)]))).toMatchObject({
      status: 'sound',
    });
    const nothing = await verify(Buffer.from('this is not an archive'.repeat(100)));
    expect(nothing.problem).toContain('is not a tar archive');
  });
});

describe('the key', () => {
  it('in the bundle is never trusted: another one is said plainly', async () => {
    const mine = newLogKey().verifierKey;
    const report = await verify(tar, mine);
    expect(report.status).toBe('tampered');
    expect(report.problem).toContain('not the key you gave');
    expect(report.origin).toBeUndefined();
    expect(report.entriesChecked).toBe(0);
    const forgedKey = await withFile('verifier-key', () => Buffer.from(`${mine}\n`));
    expect((await verify(forgedKey, mine)).problem).toContain(
      'The checkpoint is not to be trusted',
    );
    expect((await verify(forgedKey)).problem).toContain('verifier-key was changed');
  });

  it('decides even where somebody rewrote and signed everything', async () => {
    const forged = logOf(log.lines.with(3, sampleEntry(3, 'x')));
    const report = await verify(await bundleOf(forged));
    expect(report).toMatchObject({ status: 'tampered', entriesChecked: 0 });
  });

  it('must be one', async () => {
    for (const key of ['', 'nonsense', log.verifierKey.slice(1)]) {
      expect(await verify(tar, key)).toMatchObject({ status: 'could_not_run' });
    }
  });
});

describe('checkpoint and manifest', () => {
  it('are held against each other and the signature', async () => {
    const size = await withFile('checkpoint', (c) =>
      Buffer.from(c.toString().replace('\n2100\n', '\n2099\n')),
    );
    expect(await verify(size)).toMatchObject({ status: 'tampered', entriesChecked: 0 });
    for (const [from, to] of [
      ['2100', '2101'],
      ['"range"', '"rangf"'],
      ['/1"', '/2"'],
      ['\n', '\n\n'],
    ] as const) {
      const report = await verify(
        await withFile('manifest.json', (c) => Buffer.from(c.toString().replace(from, to))),
      );
      expect(report.status).toBe('tampered');
      expect(report.problem).toContain('manifest.json');
    }
    const huge = await withFile('manifest.json', () => Buffer.alloc(1_000_000, ' '));
    expect(await verify(huge)).toMatchObject({ status: 'tampered' });
  });

  it('of an earlier moment do not fit later entries', async () => {
    const earlier = logOf(log.lines.slice(0, 2000), newLogKey());
    const mixed = [...(await unpack(await bundleOf(earlier))).slice(0, 3), ...files.slice(3)];
    expect((await verify(await repack(mixed), earlier.verifierKey)).status).not.toBe('sound');
  });
});

describe('one flipped bit anywhere', () => {
  /** For each byte of the small archive: the entry whose line it belongs to. */
  const entryAt = () => {
    const owner = new Map<number, number>();
    let at = small.indexOf('entries/000000000000.jsonl') + 512;
    for (const [index, line] of smallLog.lines.entries()) {
      for (const end = at + line.length + 1; at < end; at += 1) owner.set(at, index);
    }
    return owner;
  };

  it('is tampering, and names the entry when it is in one', async () => {
    const owner = entryAt();
    const position = fc.oneof(
      fc.nat({ max: small.length - 1 }),
      // The rest is small beside the entries: headers, checkpoint, tiles, the end mark.
      fc.nat({ max: small.indexOf('entries/') + 512 }),
      fc.integer({ min: small.length - 1600, max: small.length - 1 }),
    );
    await fc.assert(
      fc.asyncProperty(position, fc.nat({ max: 7 }), async (at, bit) => {
        const report = await verify(flip(small, at, 1 << bit), smallLog.verifierKey);
        expect([`byte ${at}: ${report.problem}`, report.status]).toEqual([
          `byte ${at}: ${report.problem}`,
          'tampered',
        ]);
        expect([`byte ${at}: ${report.problem}`, report.firstBadIndex]).toEqual([
          `byte ${at}: ${report.problem}`,
          owner.get(at),
        ]);
      }),
      { numRuns: 250 },
    );
  });

  it('is tampering at the newline of every kind of line', async () => {
    const owner = entryAt();
    const ends = [...owner.keys()].filter((at) => owner.get(at) !== owner.get(at + 1));
    for (const at of [...ends.slice(0, 5), ...ends.slice(-5)]) {
      for (const mask of [1, 0x2a, 0x80]) {
        expect(await verify(flip(small, at, mask), smallLog.verifierKey)).toMatchObject({
          status: 'tampered',
          firstBadIndex: owner.get(at),
        });
      }
    }
  });
});

describe('a bundle of one entry', () => {
  it('is tampered with by a flipped bit in any of its bytes', { timeout: 120_000 }, async () => {
    const one = sampleLog(1);
    const whole = await bundleOf(one);
    const undetected: number[] = [];
    for (let at = 0; at < whole.length; at += 1) {
      const { status } = await verify(flip(whole, at, 1 << (at % 8)), one.verifierKey);
      if (status !== 'tampered') undetected.push(at);
    }
    expect(undetected).toEqual([]);
  });
});

describe('a truncated bundle', () => {
  it('is incomplete wherever it was cut, down to nothing', async () => {
    const length = fc.oneof(
      fc.nat({ max: small.length - 1 }),
      fc.nat({ max: Math.floor((small.length - 1) / 512) }).map((blocks) => blocks * 512),
    );
    const check = async (at: number) => {
      const report = await verify(small.subarray(0, at), smallLog.verifierKey);
      expect([`${at} bytes: ${report.problem}`, report.status]).toEqual([
        `${at} bytes: ${report.problem}`,
        'incomplete',
      ]);
    };
    await fc.assert(fc.asyncProperty(length, check), { numRuns: 150 });
    for (const at of [0, 1, 511, 512, small.length - 512, small.length - 1]) await check(at);
  });

  it('says which entry is the first that is lost', async () => {
    const line = smallLog.lines[200] ?? Buffer.alloc(0);
    const at = small.indexOf(line) + 20;
    expect(await verify(small.subarray(0, at), smallLog.verifierKey)).toMatchObject({
      status: 'incomplete',
      firstBadIndex: 200,
      entriesChecked: 200,
    });
  });

  it('is incomplete as a directory with a file cut short, too', async () => {
    for (const keep of [0, 1, 500, -1]) {
      const cut = files.map((f) =>
        f.name === 'entries/000000002048.jsonl'
          ? { ...f, content: f.content.subarray(0, keep) }
          : f,
      );
      const directory = unpackTo(`cut${keep}`, cut);
      const report = await verifyBundle(directory, log.verifierKey);
      expect(report.status).toBe(keep === -1 ? 'tampered' : 'incomplete');
    }
  });
});

describe('a directory', () => {
  it('is verified like an archive', async () => {
    const line = log.lines[1500] ?? Buffer.alloc(0);
    const directory = unpackTo(
      'changed',
      await unpack(await withLines(log.lines.with(1500, flip(line, 3)))),
    );
    expect(await verifyBundle(directory, log.verifierKey)).toMatchObject({
      status: 'tampered',
      firstBadIndex: 1500,
    });
    const tiles = unpackTo('tile', await unpack(await withFile('tile/0/004', (c) => flip(c, 5))));
    expect((await verifyBundle(tiles, log.verifierKey)).problem).toContain(
      'tile/0/004 was changed',
    );
  });

  it('with a file missing is incomplete; with one that would pass for checked, tampered', async () => {
    for (const { name } of files) {
      const directory = unpackTo('missing', files);
      unlinkSync(join(directory, name));
      const report = await verifyBundle(directory, log.verifierKey);
      expect([name, report.status]).toEqual([name, 'incomplete']);
      expect(report.problem).toContain(name);
    }
    const directory = unpackTo('more', files);
    writeFileSync(join(directory, 'my-notes.txt'), 'checked on Monday');
    expect(await verifyBundle(directory, log.verifierKey)).toMatchObject({ status: 'sound' });
    writeFileSync(join(directory, 'entries', '000000003072.jsonl'), '{}\n');
    const report = await verifyBundle(directory, log.verifierKey);
    expect(report.status).toBe('tampered');
    expect(report.problem).toContain('entries/000000003072.jsonl');
  });

  it('that is empty is incomplete', async () => {
    expect(await verifyBundle(unpackTo('empty', []), log.verifierKey)).toMatchObject({
      status: 'incomplete',
    });
  });
});

describe('a verification that cannot run', () => {
  it('says so when the file is absent or cannot be read', async () => {
    expect(await verifyBundle(join(folder, 'nowhere.tar'), log.verifierKey)).toMatchObject({
      status: 'could_not_run',
      entriesChecked: 0,
      checked: [],
    });
    expect(await verifyBundle('/dev/null', log.verifierKey)).toMatchObject({
      status: 'could_not_run',
    });
    const locked = join(folder, 'locked.tar');
    writeFileSync(locked, tar);
    chmodSync(locked, 0o000);
    // The superuser reads everything.
    const expected = process.getuid?.() === 0 ? 'sound' : 'could_not_run';
    expect((await verifyBundle(locked, log.verifierKey)).status).toBe(expected);
  });
});

function unpackTo(name: string, some: readonly TarFile[]): string {
  const directory = join(folder, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  for (const file of some) {
    mkdirSync(dirname(join(directory, file.name)), { recursive: true });
    writeFileSync(join(directory, file.name), file.content);
  }
  return directory;
}

describe('damage in transfer', () => {
  it.each(['checkpoint', 'manifest.json', 'verifier-key'])(
    'of which %s was cut is incomplete, as any damage in transfer',
    async (cut) => {
      const whole = files.find((file) => file.name === cut)?.content ?? Buffer.alloc(0);
      for (const length of [0, 10, whole.length - 1]) {
        const directory = unpackTo(`cut-${cut}-${length}`, files);
        writeFileSync(join(directory, cut), whole.subarray(0, length));
        expect(await verifyBundle(directory, log.verifierKey)).toMatchObject({
          status: 'incomplete',
        });
      }
    },
  );

  it('that is no tar archive could not be looked at', async () => {
    for (const [name, bytes] of [
      ['evidence.tar.gz', gzipSync(randomBytes(2_000))],
      ['x.bin', Buffer.alloc(2_000, 0xe7)],
    ] as const) {
      writeFileSync(join(folder, name), bytes);
      const report = await verifyBundle(join(folder, name), log.verifierKey);
      expect(report).toMatchObject({ status: 'could_not_run' });
      expect(report.problem).toContain('is no evidence bundle');
    }
  });
});
