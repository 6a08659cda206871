/** The file of the journal: what was written is read back, and nothing else, wherever it was cut or damaged. */
import * as fc from 'fast-check';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  JOURNAL_FILE,
  Journal,
  JournalFailure,
  framesAfter,
  type JournalEntry,
} from '../../src/store/journal.ts';
import { makeDataDirectory } from '../support/store.ts';

const pathIn = (directory: string): string => join(directory, JOURNAL_FILE);

function openIn(directory: string): Journal {
  const journal = new Journal(pathIn(directory));
  onTestFinished(() => {
    try {
      journal.close();
    } catch {
      // Closed by the test.
    }
  });
  return journal;
}

const entry = (text: string, salt?: string): JournalEntry => ({
  bytes: Buffer.from(text),
  salt: salt === undefined ? undefined : Buffer.from(salt),
});

const texts = (frames: { entries: JournalEntry[] }[]): string[][] =>
  frames.map(({ entries }) => entries.map(({ bytes }) => bytes.toString()));

/** Three frames, and where each of them ends. */
function threeFrames(): { bytes: Buffer; ends: number[] } {
  const directory = makeDataDirectory();
  const journal = openIn(directory);
  const ends: number[] = [];
  let end = 0;
  for (const [index, frame] of [
    [entry('first', 'salt')],
    [entry('second'), entry('third', '0123456789abcdef')],
    [entry('é'.repeat(50))],
  ].entries()) {
    journal.append(index, frame);
    // Head, digest, and for each entry its lengths, its salt and its bytes.
    end += 64;
    for (const { bytes, salt } of frame) end += 5 + bytes.length + (salt?.length ?? 0);
    ends.push(end);
  }
  return { bytes: readFileSync(pathIn(directory)).subarray(0, end + 100), ends };
}

describe('what was appended', () => {
  test('is read back as it was, by whoever opens the file next', () => {
    const directory = makeDataDirectory();
    const journal = openIn(directory);
    journal.append(7, [entry('one', 'salt of one'), entry('two')]);
    journal.append(9, [entry('three')]);
    journal.close();
    const frames = openIn(directory).lackedFrames(0n);
    expect(frames).toMatchObject([{ firstIndex: 7 }, { firstIndex: 9 }]);
    expect(texts(frames)).toEqual([['one', 'two'], ['three']]);
    expect(frames[0]?.entries.map(({ salt }) => salt?.toString())).toEqual([
      'salt of one',
      undefined,
    ]);
  });

  test('is left over once the database has it', () => {
    const directory = makeDataDirectory();
    const journal = openIn(directory);
    journal.append(0, [entry('old')]);
    journal.append(1, [entry('old, too')]);
    journal.begin(2n);
    expect(journal.isEmpty).toBe(true);
    expect(journal.lackedFrames(1n)).toEqual([]);
    journal.append(2, [entry('new')]);
    expect(texts(journal.lackedFrames(1n))).toEqual([['new']]);
  });

  test('does not grow the file, which its owner alone can read', () => {
    const directory = makeDataDirectory();
    const journal = openIn(directory);
    const before = statSync(pathIn(directory));
    for (let i = 0; i < 100; i += 1) journal.append(i, [entry('x'.repeat(1_000))]);
    const after = statSync(pathIn(directory));
    expect(after.size).toBe(before.size);
    expect(after.blocks).toBe(before.blocks);
    expect(after.mode & 0o777).toBe(0o600);
  });
});

test('what does not fit is not written', () => {
  const journal = openIn(makeDataDirectory());
  const big = entry('x'.repeat(60_000));
  let fitted = 0;
  while (journal.append(fitted, [big])) fitted += 1;
  expect(fitted).toBeGreaterThan(50);
  expect(journal.lackedFrames(0n)).toHaveLength(fitted);
  expect(journal.append(fitted, [entry('small')])).toBe(true);
});

test('a disk that does not take it is an error of its own', () => {
  const journal = openIn(makeDataDirectory());
  journal.close();
  expect(() => journal.append(0, [entry('x')])).toThrow(JournalFailure);
  // It may be there all the same.
  expect(journal.isEmpty).toBe(false);
});

test('a journal of a newer database is refused, with what to do', () => {
  const journal = openIn(makeDataDirectory());
  journal.begin(9n);
  journal.append(0, [entry('later')]);
  expect(() => journal.lackedFrames(5n)).toThrow(/newer database.*Put the newest database back/);
});

test('a file that a crash left too short is made whole, with what is in it', () => {
  const directory = makeDataDirectory();
  const journal = openIn(directory);
  journal.append(0, [entry('kept')]);
  journal.close();
  writeFileSync(pathIn(directory), readFileSync(pathIn(directory)).subarray(0, 5_000));
  expect(texts(openIn(directory).lackedFrames(0n))).toEqual([['kept']]);
});

test('cut anywhere, what is left is the frames that are whole', () => {
  const { bytes, ends } = threeFrames();
  expect(framesAfter(bytes, 0n)).toHaveLength(3);
  for (let end = 0; end <= bytes.length; end += 1) {
    const whole = ends.filter((one) => one <= end).length;
    expect(framesAfter(bytes.subarray(0, end), 0n), `cut at ${end}`).toHaveLength(whole);
    const zeroed = Buffer.from(bytes);
    zeroed.fill(0, end);
    expect(framesAfter(zeroed, 0n), `zeroes from ${end}`).toHaveLength(whole);
  }
});

test('any single bit that is wrong voids its frame and what follows', () => {
  const { bytes, ends } = threeFrames();
  const last = ends.at(-1) as number;
  fc.assert(
    fc.property(fc.nat(last - 1), fc.nat(7), (at, bit) => {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ (1 << bit);
      const whole = ends.filter((end) => end <= at).length;
      expect(framesAfter(damaged, 0n)).toHaveLength(whole);
    }),
    { numRuns: 2_000 },
  );
});
