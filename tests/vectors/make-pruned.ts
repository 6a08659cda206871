/** Vectors of logs whose beginning was archived and pruned. */
import { buffer } from 'node:stream/consumers';
import { evidenceBundle } from '../../src/audit/bundle.ts';
import {
  LOG_KEY,
  entriesOf,
  entryOf,
  flipped,
  logOf,
  mirrorOf,
  pruningOf,
  type Files,
  type VectorLog,
} from './kit.ts';
import type { Vector } from './vectors.ts';

/** One full bundle, which was pruned, and two entries: the second says so. */
const pruned = logOf([...entriesOf(257), pruningOf(257, [[0, 256]])]);
/** The same without anything that says so. */
const unsaid = logOf(entriesOf(258));
/** Two full bundles, of which the first was pruned by what is said. */
const larger = logOf([...entriesOf(513), pruningOf(513, [[0, 256]])]);
/** It names an archive of the second bundle alone. */
const gap = logOf([...entriesOf(513), pruningOf(513, [[256, 512]])]);
/** Pruned twice: the last entry names both archives. */
const twice = logOf([
  ...entriesOf(513),
  pruningOf(513, [
    [0, 256],
    [256, 512],
  ]),
]);

const keys = [LOG_KEY.verifierKey];
type Outcome = Pick<Vector, 'status' | 'firstBadIndex'>;
const SOUND: Outcome = { status: 'sound', firstBadIndex: null };
const incomplete = (firstBadIndex: number | null): Outcome => ({
  status: 'incomplete',
  firstBadIndex,
});

const log = (name: string, about: string, files: Files, outcome: Outcome): Vector => ({
  kind: 'log',
  name,
  about,
  keys,
  ...outcome,
  files,
});

async function bundle(
  name: string,
  about: string,
  of: VectorLog,
  [from, to]: [number, number],
  outcome: Outcome,
): Promise<Vector> {
  const content = await buffer(
    evidenceBundle({
      checkpoint: of.checkpoint,
      verifierKey: LOG_KEY.verifierKey,
      range: { from, to },
      tile: of.tile,
      entries: [of.entries.slice(from, to)],
    }),
  );
  return { kind: 'bundle', name, about, keys, ...outcome, files: { 'bundle.tar': content } };
}

const without = (files: Files, ...paths: string[]): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !paths.includes(name)));

const FIRST = 'tile/entries/000';
const SECOND = 'tile/entries/001';
const LAST = 'tile/entries/001.p/2';

export async function prunedVectors(): Promise<Vector[]> {
  const mirror = without(mirrorOf(pruned), FIRST);
  return [
    log('log-pruned', 'The first bundle was pruned, and entry 257 says so.', mirror, SOUND),
    log(
      'log-pruned-twice',
      'Two bundles were pruned one after the other; the last entry names both archives.',
      without(mirrorOf(twice), FIRST, SECOND),
      SOUND,
    ),
    log(
      'log-pruned-and-there',
      'What was pruned is there all the same: it is checked.',
      mirrorOf(pruned),
      SOUND,
    ),
    log(
      'log-pruned-unsaid',
      'The first bundle is missing, and no entry says that it was archived.',
      without(mirrorOf(unsaid), FIRST),
      incomplete(0),
    ),
    log(
      'log-pruned-beyond',
      'Two bundles are missing, and entry 513 says of the first alone that it was archived.',
      without(mirrorOf(larger), FIRST, SECOND),
      incomplete(256),
    ),
    log(
      'log-pruned-gap',
      'The archive that is named begins at entry 256: nothing says where the first bundle is.',
      without(mirrorOf(gap), FIRST, SECOND),
      incomplete(0),
    ),
    log(
      'log-pruned-tile-missing',
      'A hash tile of what was pruned is missing: they stay.',
      without(mirror, 'tile/0/000'),
      incomplete(null),
    ),
    log(
      'log-pruned-tile-flipped',
      'A hash of an entry that was pruned was changed.',
      { ...mirror, 'tile/0/000': flipped(mirror['tile/0/000']!, 40) },
      { status: 'tampered', firstBadIndex: null },
    ),
    log(
      'log-pruned-entry-edited',
      'Entry 256, the first that is there, was edited.',
      {
        ...mirror,
        [LAST]: mirrorOf(pruned, pruned.entries.with(256, entryOf(256, { run: 'edited' })))[LAST]!,
      },
      { status: 'tampered', firstBadIndex: 256 },
    ),
    await bundle(
      'bundle-pruned',
      'Of a log whose first bundle was pruned, from entry 256 on.',
      pruned,
      [256, 258],
      SOUND,
    ),
    await bundle(
      'bundle-pruned-unsaid',
      'From entry 256 on, and no entry says that those in front of it were archived.',
      unsaid,
      [256, 258],
      incomplete(0),
    ),
    await bundle(
      'bundle-archive',
      'An archive of the first 256 entries: it says nothing of the others.',
      unsaid,
      [0, 256],
      incomplete(256),
    ),
  ];
}
