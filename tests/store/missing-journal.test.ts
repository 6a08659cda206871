/** A journal that is gone is said so until it is on record, however many starts that takes. */
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOURNAL_FILE } from '../../src/store/journal.ts';
import {
  anEntry,
  makeDataDirectory,
  makeWorld,
  openThreadStore,
  reserveArgs,
} from '../support/store.ts';

/** A directory whose journal has been in use. */
async function usedDirectory(): Promise<string> {
  const directory = makeDataDirectory();
  const it = await openThreadStore(directory);
  const world = await makeWorld(it.write, Date.now());
  await it.write('reserve', reserveArgs(world, { epoch: it.epoch(), at: Date.now() }));
  await it.close();
  return directory;
}

const start = async (directory: string, isRecorded: boolean): Promise<boolean> => {
  const it = await openThreadStore(directory);
  if (isRecorded) await it.write('recordEntry', anEntry(Date.now(), { kind: 'system.started' }));
  await it.close();
  return it.store.journalWasMissing;
};

test.each([
  ['deleted', (path: string) => rmSync(path)],
  ['cut', (path: string) => truncateSync(path, 100_000)],
])('a journal that was %s', async (_how, take) => {
  const directory = await usedDirectory();
  expect(await start(directory, true)).toBe(false);
  take(join(directory, JOURNAL_FILE));
  // A start that ends before it has said so hides nothing.
  expect(await start(directory, false)).toBe(true);
  expect(await start(directory, true)).toBe(true);
  expect(await start(directory, true)).toBe(false);
});
