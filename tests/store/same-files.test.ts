/** Files that are deleted, replaced or hidden under a running broker are missed, whatever tool did it. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SameFiles } from '../../src/store/same-files.ts';

let root: string;
let directory: string;
const path = (name = 'one'): string => join(directory, name);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sallyport-files-'));
  directory = join(root, 'data');
  mkdirSync(directory);
  writeFileSync(path('one'), 'one');
  writeFileSync(path('two'), 'two');
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

/** As they are after a while: the directory is relied on. */
function settledFiles(): SameFiles {
  const files = new SameFiles([path('one'), path('two')]);
  vi.useFakeTimers({ now: Date.now() + 10_000, toFake: ['Date'] });
  files.check();
  files.check();
  return files;
}

test('what is the same passes, also when it is written to', () => {
  const files = settledFiles();
  writeFileSync(path('one'), 'more');
  expect(() => files.check()).not.toThrow();
  expect(() => files.checkFiles()).not.toThrow();
});

test.each<[string, () => void]>([
  ['deleted', () => rmSync(path())],
  ['moved', () => renameSync(path(), `${path()}.old`)],
  [
    'replaced',
    () => {
      copyFileSync(path(), `${path()}.new`);
      renameSync(`${path()}.new`, path());
    },
  ],
  [
    'replaced, with the time of the directory set back',
    () => {
      // Held open, as the broker holds it: its number is not used again.
      openSync(path(), 'r');
      const at = new Date(2_000_000_000_000);
      utimesSync(directory, at, at);
      rmSync(path());
      writeFileSync(path(), 'one');
      utimesSync(directory, at, at);
    },
  ],
  [
    'in a directory that was replaced by a copy of it',
    () => {
      execFileSync('cp', ['-a', directory, `${directory}.copy`]);
      renameSync(directory, `${directory}.old`);
      renameSync(`${directory}.copy`, directory);
    },
  ],
  [
    'in a directory that is a link to another one now',
    () => {
      execFileSync('cp', ['-a', directory, `${directory}.copy`]);
      renameSync(directory, `${directory}.old`);
      symlinkSync(`${directory}.copy`, directory);
    },
  ],
  ['in a directory that is gone', () => rmSync(directory, { recursive: true })],
])('a file that is %s is missed', (_how, take) => {
  const files = settledFiles();
  take();
  expect(() => files.check()).toThrow(/was deleted or replaced/);
});

test('a file that is deleted in the moment in which another changed is missed', () => {
  const files = new SameFiles([path('one'), path('two')]);
  files.check();
  rmSync(path('two'));
  expect(() => files.check()).toThrow(/two was deleted or replaced/);
});

test('a file that is not there yet is known from when it first is', () => {
  const files = new SameFiles([path('one'), path('later')]);
  writeFileSync(path('later'), 'x');
  expect(() => files.check()).not.toThrow();
  rmSync(path('later'));
  writeFileSync(path('other'), 'so that its number is not used again');
  writeFileSync(path('later'), 'x');
  expect(() => files.check()).toThrow(/later was deleted or replaced/);
});
