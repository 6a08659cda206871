import { DEFAULT_RULES } from '../../src/core/authority-rules.ts';
import Database from 'better-sqlite3';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { Store } from '../../src/store/client.ts';
import { prepareDataDirectory } from '../../src/store/data-directory.ts';
import { DATABASE_FILE, openForReading, openForWriting } from '../../src/store/database.ts';
import { lockDataDirectory } from '../../src/store/lock.ts';
import { migrate, refuseNewerDatabase } from '../../src/store/migrations.ts';
import {
  ORIGIN,
  WRITER_THREAD,
  anEntry,
  entriesOf,
  makeDataDirectory,
  openThreadStore,
} from '../support/store.ts';

const open = (dataDir: string, origin = ORIGIN, thread = WRITER_THREAD): Promise<Store> =>
  Store.open(thread, { dataDir, origin, rules: DEFAULT_RULES }, systemClock);

/** A directory in which a log has begun and its writer has ended. */
async function usedDirectory(): Promise<string> {
  const directory = makeDataDirectory();
  const it = await openThreadStore(directory);
  await it.write('recordEntry', anEntry(Date.now()));
  await it.close();
  return directory;
}

const hashOf = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

describe('one writer', () => {
  test('a second one on the same data directory refuses, and the first goes on', async () => {
    const directory = makeDataDirectory();
    const first = await openThreadStore(directory);
    await expect(open(directory)).rejects.toThrow(/Another broker is running/);
    await expect(first.write('recordEntry', anEntry(Date.now()))).resolves.toEqual({ index: 0 });
    await first.close();
    const next = await openThreadStore(directory);
    await expect(next.write('recordEntry', anEntry(Date.now()))).resolves.toEqual({ index: 1 });
  });

  test('the lock is given back by whoever had it', () => {
    const directory = makeDataDirectory();
    const unlock = lockDataDirectory(directory);
    expect(() => lockDataDirectory(directory)).toThrow(/Another broker/);
    unlock();
    lockDataDirectory(directory)();
  });

  test('after it was closed, nothing is written any more', async () => {
    const it = await openThreadStore(makeDataDirectory());
    await it.store.close();
    await expect(it.write('recordEntry', anEntry(Date.now()))).rejects.toMatchObject({
      refusal: { code: 'log_unavailable' },
    });
    expect(it.store.isWritable).toBe(false);
  });

  test('a thread that ends before it is ready is told, not waited for', async () => {
    const directory = makeDataDirectory();
    const thread = join(directory, 'ends.mjs');
    writeFileSync(thread, 'process.exit(1);\n');
    await expect(open(directory, ORIGIN, pathToFileURL(thread))).rejects.toThrow(/ended before/);
  });
});

describe('the log keeps its name and its key', () => {
  test('another origin is refused, and the old one still works', async () => {
    const directory = await usedDirectory();
    await expect(open(directory, 'other.example/log')).rejects.toThrow(
      /has the origin "test.example\/log", not "other.example\/log"/,
    );
    // What refused to start holds nothing back.
    const again = await openThreadStore(directory);
    expect(again.store.origin).toBe(ORIGIN);
    expect(entriesOf(again.readers)).toHaveLength(1);
  });

  test('a missing key is not replaced by a new one', async () => {
    const directory = await usedDirectory();
    const key = join(directory, 'keys', 'log.pem');
    rmSync(key);
    await expect(open(directory)).rejects.toThrow(/log\.pem/);
    expect(readdirSync(join(directory, 'keys'))).toEqual([]);
  });

  test('a key that others can read is refused', async () => {
    const directory = await usedDirectory();
    chmodSync(join(directory, 'keys', 'log.pem'), 0o640);
    await expect(open(directory)).rejects.toThrow(/chmod 600/);
  });

  test('the key is the same after a restart', async () => {
    const directory = makeDataDirectory();
    const first = await openThreadStore(directory);
    const { verifierKey } = first.store;
    await first.close();
    const again = await openThreadStore(directory);
    expect(again.store.verifierKey).toBe(verifierKey);
  });
});

describe('the database', () => {
  test('of a newer version is refused, and left as it is', async () => {
    const directory = await usedDirectory();
    const path = join(directory, DATABASE_FILE);
    const newer = new Database(path);
    newer.pragma('journal_mode = DELETE');
    newer.pragma('user_version = 999');
    newer.close();
    const before = hashOf(path);
    await expect(open(directory)).rejects.toThrow(/newer version of Sallyport \(schema 999/);
    expect(() => refuseNewerDatabase(path)).toThrow(/999/);
    expect(hashOf(path)).toBe(before);
    expect(readdirSync(directory).filter((name) => name.startsWith(DATABASE_FILE))).toEqual([
      DATABASE_FILE,
    ]);
  });

  test('gets each migration once', () => {
    const path = join(makeDataDirectory(), DATABASE_FILE);
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
    for (let i = 0; i < 3; i += 1) {
      const connection = openForWriting(path);
      migrate(connection);
      expect(connection.pragma('user_version', { simple: true })).toBe(files.length);
      connection.close();
    }
  });

  test('whose migration fails stays as it was before it', () => {
    const path = join(makeDataDirectory(), DATABASE_FILE);
    const connection = openForWriting(path);
    // Something of the same name stands in the way of the first migration.
    connection.exec('CREATE TABLE checkpoints (x)');
    expect(() => migrate(connection)).toThrow(/already exists/);
    expect(connection.pragma('user_version', { simple: true })).toBe(0);
    const tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'");
    expect(tables.pluck().all()).toEqual(['checkpoints']);
    connection.close();
  });

  test('is opened so that a commit is durable and rules hold', () => {
    const connection = openForWriting(join(makeDataDirectory(), DATABASE_FILE));
    const pragmas = ['journal_mode', 'synchronous', 'foreign_keys', 'recursive_triggers'];
    expect(pragmas.map((name) => connection.pragma(name, { simple: true }))).toEqual([
      'wal',
      2,
      1,
      1,
    ]);
    connection.close();
  });

  test('that cannot keep a write-ahead log is refused', () => {
    // A database in memory has none; so do some network disks.
    expect(() => openForWriting(':memory:')).toThrow(/did not take "journal_mode = wal"/);
  });

  test('cannot be written through a connection for reading', async () => {
    const directory = await usedDirectory();
    const db = openForReading(join(directory, DATABASE_FILE));
    expect(() => db.$client.exec('DELETE FROM meta')).toThrow(/readonly/);
    db.$client.close();
  });
});

describe('the data directory', () => {
  const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

  test('is made for its owner only, and so are its keys', () => {
    const path = join(makeDataDirectory(), 'a', 'b');
    const made = prepareDataDirectory(path);
    expect([mode(path), mode(made.keys)]).toEqual(['700', '700']);
    expect(made).toEqual({
      path,
      keys: join(path, 'keys'),
      transcripts: join(path, 'transcripts.db'),
      database: join(path, DATABASE_FILE),
    });
    expect(prepareDataDirectory(path)).toEqual(made);
  });

  test.each([0o755, 0o750, 0o701, 0o770])('of mode %i is refused', (wider) => {
    const path = join(makeDataDirectory(), 'open');
    mkdirSync(path);
    chmodSync(path, wider);
    expect(() => prepareDataDirectory(path)).toThrow(
      `open to others (mode ${wider.toString(8)}). Run "chmod 700 ${path}"`,
    );
    expect(readdirSync(path)).toEqual([]);
  });

  test('closes a folder of keys that stood open', () => {
    const path = join(makeDataDirectory(), 'data');
    mkdirSync(join(path, 'keys'), { recursive: true });
    chmodSync(path, 0o700);
    chmodSync(join(path, 'keys'), 0o755);
    expect(mode(prepareDataDirectory(path).keys)).toBe('700');
  });

  test('is not a file', () => {
    const path = join(makeDataDirectory(), 'file');
    writeFileSync(path, '');
    expect(() => prepareDataDirectory(path)).toThrow(/EEXIST|not a directory/);
  });
});
