/** A new file's name is on the disk, too, before its lines are said to be. */
import type * as Fs from 'node:fs';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { appendLines } from '../../src/forward/append-lines.ts';

const { opened, synced } = vi.hoisted(() => ({
  opened: new Map<number, string>(),
  synced: [] as string[],
}));

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>();
  return {
    ...fs,
    openSync: (...args: Parameters<typeof openSync>) => {
      const fd = fs.openSync(...args);
      opened.set(fd, String(args[0]));
      return fd;
    },
    fsyncSync: (fd: number) => {
      synced.push(opened.get(fd) ?? '');
      fs.fsyncSync(fd);
    },
  };
});

test('the folder is written out for the first file, for each one after it, and for one that was there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-names-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const append = (name: string, text: string): number => {
    synced.length = 0;
    appendLines({ path: join(folder, name), maxBytes: 30, keep: 2 }, Buffer.from(text));
    expect(synced.every((path) => path === folder)).toBe(true);
    return synced.length;
  };
  expect(append('a', 'first\n')).toBe(1);
  expect(append('a', 'second\n')).toBe(0);
  // Once for the names that changed, once for the new one.
  expect(append('a', 'a third one that is long\n')).toBe(2);
  rmSync(join(folder, 'a'));
  expect(append('a', 'taken away\n')).toBe(1);
  writeFileSync(join(folder, 'b'), 'left by a crash\n');
  expect(append('b', 'more\n')).toBe(1);
  expect(append('b', 'more\n')).toBe(0);
});
