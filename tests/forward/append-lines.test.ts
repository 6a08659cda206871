/** A file for collectors holds whole lines, each once they are said to be written, whatever interrupts the writer. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { appendLines } from '../../src/forward/append-lines.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-lines-'));
  path = join(folder, 'log.jsonl');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
});

const append = (text: string, maxBytes = 1_000_000, keep = 2): void =>
  appendLines({ path, maxBytes, keep }, Buffer.from(text));
const content = (of = path): string => readFileSync(of, 'utf8');

test('lines are appended, to a file for its owner alone', () => {
  append('a\nb\n');
  append('c\n');
  expect(content()).toBe('a\nb\nc\n');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test.each(['{"half', `whole\n{"half`, `whole\n${'x'.repeat(200_000)}`])(
  'what an interruption left of a line is cut off',
  (left) => {
    writeFileSync(path, left);
    append('next\n');
    expect(content()).toBe(left.startsWith('whole') ? 'whole\nnext\n' : 'next\n');
  },
);

test('a file that would grow too large is renamed before, and so many are kept', () => {
  for (let i = 0; i < 5; i += 1) append(`${i}${'x'.repeat(60)}\n`, 100);
  expect(readdirSync(folder).toSorted()).toEqual(['log.jsonl', 'log.jsonl.1', 'log.jsonl.2']);
  expect([content()[0], content(`${path}.1`)[0], content(`${path}.2`)[0]]).toEqual(['4', '3', '2']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a batch that is larger than the bound by itself has a file for itself', () => {
  append(`a${'x'.repeat(300)}\n`, 100);
  append('b\n', 100);
  expect([content()[0], content(`${path}.1`)[0]]).toEqual(['b', 'a']);
});

test('with none to be kept, what is full is gone', () => {
  append(`a${'x'.repeat(90)}\n`, 100, 0);
  append(`b${'x'.repeat(90)}\n`, 100, 0);
  expect(readdirSync(folder)).toEqual(['log.jsonl']);
  expect(content()[0]).toBe('b');
});

test('a file that was taken away is made again', () => {
  append('a\n');
  rmSync(path);
  append('b\n');
  expect(content()).toBe('b\n');
});

test('a link is not followed, and a pipe is not waited for', () => {
  const elsewhere = join(folder, 'elsewhere');
  symlinkSync(elsewhere, path);
  expect(() => append('a\n')).toThrow('ELOOP');
  expect(existsSync(elsewhere)).toBe(false);
  rmSync(path);
  execFileSync('mkfifo', [path]);
  expect(() => append('a\n')).toThrow('is not a file');
});

test('a folder that is not there is an error, and nothing is left open', () => {
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i += 1)
    expect(() =>
      appendLines(
        { path: join(folder, 'none', 'log'), maxBytes: 100, keep: 1 },
        Buffer.from('a\n'),
      ),
    ).toThrow('ENOENT');
  expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 5);
});

test('what others put behind stays whole', () => {
  append('a\n');
  chmodSync(path, 0o640);
  appendFileSync(path, 'by somebody else\n');
  append('b\n');
  expect(content()).toBe('a\nby somebody else\nb\n');
});
