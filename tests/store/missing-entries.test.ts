/** An entry that is gone: what goes through all of a range says so, and is never short in silence. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { EntrySearch } from '../../src/core/audit/entry-search.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import { nextCommon, type Direction, type Source } from '../../src/store/search-sources.ts';
import { LocalWriter, anEntry, makeDataDirectory } from '../support/store.ts';

const NOW = 1_750_000_000_000;
const SIZE = 4_096 + 700;
const GRANT = 'grt_00000000000000000000000001';
const REF = 'ord_00000000000000000000000001';

/** A log of which every second entry is about a grant and every third has a ref; entries are missing. */
function logWithout(...missing: number[]): Readers {
  const directory = makeDataDirectory();
  const writer = new LocalWriter(directory, NOW);
  for (let done = 0; done < SIZE; done += 500)
    writer.commit(
      ...Array.from({ length: Math.min(500, SIZE - done) }, (_, i) =>
        writer.call(
          'recordEntry',
          anEntry(NOW, {
            grant: (done + i) % 2 === 0 ? GRANT : undefined,
            ref: (done + i) % 3 === 0 ? REF : undefined,
          }),
        ),
      ),
    );
  writer.context.db.$client.exec('DROP TRIGGER entries_are_removed_only_where_pruned');
  for (const index of missing)
    writer.context.db.$client.prepare('DELETE FROM entries WHERE idx = ?').run(index);
  const readers = new Readers(join(directory, DATABASE_FILE));
  onTestFinished(() => readers.close());
  return readers;
}

const between = (readers: Readers, from: number, to: number, search: EntrySearch): number[] =>
  [...readers.entriesBetween(from, to, search, 256)].flat().map(({ index }) => index);

test.each([
  ['all entries', {}, [6, 4_095, 4_200, SIZE - 1]],
  ['what the index finds', { grant: GRANT }, [6, 4_094]],
  ['what is looked through', { grant: GRANT }, [4_200, SIZE - 1]],
  ['what is found by a ref', { ref: REF }, [6, 4_200, SIZE - 1]],
  ['what is found in a time', { since: NOW - 1, until: NOW + 1 }, [6, 4_200]],
])('%s: one that is missing is an error that names it', (_, search, missing) => {
  for (const index of missing) {
    const readers = logWithout(index);
    expect(() => between(readers, 0, SIZE, search)).toThrow(`Entry ${index} is missing.`);
    // What is not asked for is nobody's hole.
    const before = between(readers, 0, index, search);
    expect(before.length).toBeGreaterThan(1);
    const behind = between(readers, index + 1, SIZE, {});
    expect(behind).toHaveLength(SIZE - 1 - index);
  }
});

test('a log without holes is gone through as it was', () => {
  const readers = logWithout();
  expect(between(readers, 0, SIZE, {})).toHaveLength(SIZE);
  expect(between(readers, 10, 20, { grant: GRANT })).toEqual([10, 12, 14, 16, 18]);
});

test.each<Direction>(['oldest first', 'newest first'])(
  'a page stops looking when it has done enough, also where its terms never meet (%s)',
  (direction) => {
    let seeks = 0;
    const ahead = direction === 'oldest first' ? 1 : -1;
    const every = (rest: number): Source => ({
      seek: (chunk) => {
        seeks += 1;
        return Math.abs(chunk % 2) === rest ? chunk : chunk + ahead;
      },
      places: () => new Uint32Array(128),
    });
    const range = { direction, first: 0, last: 1_000_000, isTooMuch: () => seeks >= 100 };
    const steps = [...nextCommon([every(0), every(1)], range)];
    expect(seeks).toBe(100);
    expect(steps).toHaveLength(1);
    expect(steps[0]?.bits).toBeUndefined();
    const gone =
      direction === 'oldest first' ? steps[0]?.chunk : 1_000_000 - (steps[0]?.chunk ?? 0);
    expect(gone).toBeGreaterThan(40);
  },
);
