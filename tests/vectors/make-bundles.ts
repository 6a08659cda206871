/** Vectors of evidence bundles. */
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { extract, pack } from 'tar-stream';
import { FOREIGN_KEY, LOG_KEY, bundleOf, entriesOf, flipped, logOf } from './kit.ts';
import type { Vector } from './vectors.ts';

const log = logOf(entriesOf(5));
const ENTRIES = 'entries/000000000000.jsonl';
const TILE = 'tile/0/000.p/5';

interface TarFile {
  name: string;
  content: Buffer;
}

function bundle(
  name: string,
  about: string,
  content: Buffer,
  status: Vector['status'],
  firstBadIndex: number | null = null,
): Vector {
  const keys = [LOG_KEY.verifierKey];
  return {
    kind: 'bundle',
    name,
    about,
    keys,
    status,
    firstBadIndex,
    files: { 'bundle.tar': content },
  };
}

async function filesOf(tar: Buffer): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract()))
    files.push({ name: entry.header.name, content: await buffer(entry) });
  return files;
}

function packed(files: readonly TarFile[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, content } of files)
    tar.entry({ name, mode: 0o644, mtime: new Date(0) }, content);
  tar.finalize();
  return buffer(tar);
}

export async function bundleVectors(): Promise<Vector[]> {
  const tar = await bundleOf(log);
  const files = await filesOf(tar);
  const changed = (name: string, change: (text: string) => string): Promise<Buffer> =>
    packed(
      files.map((file) =>
        file.name === name
          ? { name, content: Buffer.from(change(file.content.toString('latin1')), 'latin1') }
          : file,
      ),
    );
  const lines = log.entries.map((entry) => `${entry.toString('utf8')}\n`);
  const withLines = (some: readonly string[]) => changed(ENTRIES, () => some.join(''));
  const isNot = (name: string) => (file: TarFile) => file.name !== name;
  const end = tar.lastIndexOf('}\n') + 2;
  return [
    bundle('bundle', 'Five entries.', tar, 'sound'),
    bundle('bundle-of-nothing', 'No entries.', await bundleOf(logOf([])), 'sound'),
    bundle(
      'bundle-other-order',
      'The same files in another order.',
      await packed(files.toReversed()),
      'sound',
    ),
    bundle(
      'bundle-cut',
      'Cut off within entry 3, as a transfer that broke off leaves it.',
      tar.subarray(0, tar.indexOf(lines[3]!) + 20),
      'incomplete',
      3,
    ),
    bundle(
      'bundle-end-mark-cut',
      'Everything is there but the end of the archive.',
      tar.subarray(0, Math.ceil(end / 512) * 512),
      'incomplete',
    ),
    bundle('bundle-empty', 'A file without a byte.', Buffer.alloc(0), 'incomplete'),
    bundle(
      'bundle-goes-on',
      'Bytes follow the end of the archive.',
      Buffer.concat([tar, Buffer.from('more')]),
      'tampered',
    ),
    bundle(
      'bundle-entry-edited',
      'Entry 2 was edited.',
      await withLines(lines.with(2, lines[2]!.replace('run-2', 'run-3'))),
      'tampered',
      2,
    ),
    bundle(
      'bundle-entry-removed',
      'Entry 2 was removed.',
      await withLines(lines.toSpliced(2, 1)),
      'tampered',
      2,
    ),
    bundle(
      'bundle-tail-cut',
      'The last entry was removed.',
      await withLines(lines.slice(0, 4)),
      'incomplete',
      4,
    ),
    bundle(
      'bundle-file-missing',
      'The tile is missing.',
      await packed(files.filter(isNot(TILE))),
      'incomplete',
    ),
    bundle(
      'bundle-entries-missing',
      'The file of entries is missing.',
      await packed(files.filter(isNot(ENTRIES))),
      'incomplete',
      0,
    ),
    bundle(
      'bundle-file-twice',
      'The tile stands twice.',
      await packed([...files, ...files.filter(({ name }) => name === TILE)]),
      'tampered',
    ),
    bundle(
      'bundle-file-foreign',
      'A file that no bundle has.',
      await packed([...files, { name: 'note.txt', content: Buffer.from('hello') }]),
      'tampered',
    ),
    bundle(
      'bundle-header-flipped',
      'A bit of the header of the first file was flipped.',
      flipped(tar, 4),
      'tampered',
    ),
    bundle(
      'bundle-padding-flipped',
      'A bit between two files was flipped.',
      flipped(tar, tar.indexOf('}\n') + 40),
      'tampered',
    ),
    bundle(
      'bundle-tile-flipped',
      'A bit of the tile was flipped.',
      await changed(TILE, (text) => flipped(Buffer.from(text, 'latin1'), 3).toString('latin1')),
      'tampered',
    ),
    bundle(
      'bundle-manifest-changed',
      'The manifest says that there are six entries.',
      await changed('manifest.json', (text) => text.replace('"entries": 5', '"entries": 6')),
      'tampered',
    ),
    bundle(
      'bundle-key-exchanged',
      'It carries another key than the one that signed.',
      await changed('verifier-key', () => `${FOREIGN_KEY.verifierKey}\n`),
      'tampered',
    ),
    bundle(
      'bundle-rewritten',
      'Everything was made anew over an edited entry, and signed by a foreign key.',
      await changed('checkpoint', () => logOf(log.entries, [FOREIGN_KEY.signer]).checkpoint),
      'tampered',
    ),
  ];
}
