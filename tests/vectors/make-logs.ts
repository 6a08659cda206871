/** Vectors of logs as a mirror holds them. */
import {
  FOREIGN_KEY,
  LOG_KEY,
  entriesOf,
  entryOf,
  flipped,
  logOf,
  mirrorOf,
  type Files,
} from './kit.ts';
import type { Vector } from './vectors.ts';

const five = logOf(entriesOf(5));
/** One full tile and the beginning of another: two levels. */
const more = logOf(entriesOf(258));
const TILE = 'tile/0/000.p/5';
const ENTRIES = 'tile/entries/000.p/5';

function log(
  name: string,
  about: string,
  files: Files,
  status: Vector['status'],
  firstBadIndex: number | null = null,
): Vector {
  return { kind: 'log', name, about, keys: [LOG_KEY.verifierKey], status, firstBadIndex, files };
}

const without = (files: Files, path: string): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => name !== path));

const withEntries = (entries: Buffer[]): Files => mirrorOf(five, entries);

export function logVectors(): Vector[] {
  const { entries } = five;
  const sound = mirrorOf(five);
  const file = (path: string): Buffer => sound[path]!;
  const large = mirrorOf(more);
  const seen = (size: number, change?: Buffer): Files => ({
    ...sound,
    seen: Buffer.from(logOf(change ? entriesOf(size).with(1, change) : entriesOf(size)).checkpoint),
  });
  const misplaced = logOf(entries.with(3, entryOf(3, { index: 4 })));
  const edited = entryOf(2, { run: 'edited' });
  const rewritten = logOf(entries.with(2, edited));
  return [
    log('log', 'Five entries.', sound, 'sound'),
    log('log-of-nothing', 'No entries: a checkpoint alone.', mirrorOf(logOf([])), 'sound'),
    log(
      'log-of-two-tiles',
      '258 entries: a full tile, a partial one, and one above them.',
      large,
      'sound',
    ),
    log(
      'log-wider-tile',
      'In place of the partial tile and bundle of 5 there are the full ones that came later: their beginning is taken.',
      {
        checkpoint: file('checkpoint'),
        'tile/0/000': large['tile/0/000']!,
        'tile/entries/000': large['tile/entries/000']!,
      },
      'sound',
    ),
    log(
      'log-continued',
      'It continues the checkpoint of three entries that was seen before.',
      seen(3),
      'sound',
    ),
    log('entry-edited', 'Entry 2 was edited.', withEntries(entries.with(2, edited)), 'tampered', 2),
    log(
      'entry-edited-with-its-tile',
      'Entry 2 was edited, and its leaf hash with it: they do not reach the signed root.',
      { ...mirrorOf(rewritten), checkpoint: file('checkpoint') },
      'tampered',
      null,
    ),
    log(
      'entry-removed',
      'Entry 2 was removed; the others moved up.',
      withEntries(entries.toSpliced(2, 1)),
      'tampered',
      2,
    ),
    log(
      'entry-duplicated',
      'Entry 1 stands twice.',
      withEntries(entries.toSpliced(2, 0, entries[1]!)),
      'tampered',
      2,
    ),
    log(
      'entry-inserted',
      'An entry was put in front of entry 2.',
      withEntries(entries.toSpliced(2, 0, edited)),
      'tampered',
      2,
    ),
    log(
      'entries-reordered',
      'Entries 1 and 3 changed places.',
      withEntries(entries.with(1, entries[3]!).with(3, entries[1]!)),
      'tampered',
      1,
    ),
    log(
      'tail-cut',
      'The last entry is missing, and the checkpoint still counts it.',
      withEntries(entries.slice(0, 4)),
      'incomplete',
      4,
    ),
    log(
      'entry-bundle-cut',
      'The bundle of entries ends within entry 3.',
      {
        ...sound,
        [ENTRIES]: file(ENTRIES).subarray(0, file(ENTRIES).length - entries[4]!.length - 12),
      },
      'incomplete',
      3,
    ),
    log(
      'entry-bundle-goes-on',
      'Bytes follow the last entry.',
      { ...sound, [ENTRIES]: Buffer.concat([file(ENTRIES), Buffer.from('more')]) },
      'tampered',
      5,
    ),
    log(
      'entry-bundle-missing',
      'The second bundle of entries is missing.',
      without(large, 'tile/entries/001.p/2'),
      'incomplete',
      256,
    ),
    log(
      'entry-says-another-index',
      'The log signed an entry at index 3 that says of itself that it is entry 4.',
      mirrorOf(misplaced),
      'tampered',
      3,
    ),
    log(
      'tile-wrong-width',
      'The tile has four hashes where its name says five.',
      { ...sound, [TILE]: file(TILE).subarray(32) },
      'incomplete',
    ),
    log(
      'tile-too-wide',
      'The tile has six hashes where its name says five.',
      { ...sound, [TILE]: Buffer.concat([file(TILE), file(TILE).subarray(0, 32)]) },
      'tampered',
    ),
    log(
      'tile-hash-flipped',
      'A bit of a leaf hash was flipped; the entries are right.',
      { ...sound, [TILE]: flipped(file(TILE), 70) },
      'tampered',
    ),
    log(
      'tile-above-flipped',
      'A bit of the tile above was flipped.',
      { ...large, 'tile/1/000.p/1': flipped(large['tile/1/000.p/1']!, 5) },
      'tampered',
    ),
    log(
      'tile-missing',
      'The second tile is missing.',
      without(large, 'tile/0/001.p/2'),
      'incomplete',
    ),
    log(
      'checkpoint-missing',
      'There is no checkpoint.',
      without(sound, 'checkpoint'),
      'incomplete',
    ),
    log(
      'log-of-foreign-key',
      'Everything fits, and a key signed that was never the log\u2019s.',
      mirrorOf(logOf(entries, [FOREIGN_KEY.signer])),
      'tampered',
    ),
    log(
      'log-rolled-back',
      'Seven entries were seen before, and now there are five.',
      seen(7),
      'tampered',
      5,
    ),
    log(
      'log-forked',
      'What it has now does not begin with the three entries that were seen before.',
      seen(3, entryOf(1, { run: 'another' })),
      'tampered',
    ),
    log(
      'log-forked-at-one-size',
      'Another log of five entries was seen before.',
      seen(5, entryOf(1, { run: 'another' })),
      'tampered',
    ),
  ];
}
