/**
 * The real thread that keeps transcripts, on a disk that hangs or is full: whichever file lies in a folder. What hangs is
 * the thread itself, as it would be inside a sync that does not return; full is what SQLite says of such a disk.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KEEPER_THREAD } from './test-broker.ts';

type Trouble = 'hangs' | 'full';

export class TroubledKeeper {
  readonly thread: URL;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sallyport-keeper-'));

  constructor() {
    const sqlite = createRequire(import.meta.url).resolve('better-sqlite3');
    const path = join(this.#folder, 'troubled-keeper.mjs');
    writeFileSync(
      path,
      `import fs, { existsSync } from 'node:fs';
       import { syncBuiltinESMExports } from 'node:module';
       import Database from ${JSON.stringify(pathToFileURL(sqlite).href)};
       const is = (what) => existsSync(${JSON.stringify(this.#folder)} + '/' + what);
       const sleeper = new Int32Array(new SharedArrayBuffer(4));
       const { fdatasyncSync } = fs;
       fs.fdatasyncSync = (fd) => {
         if (is('full')) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
         while (is('hangs')) Atomics.wait(sleeper, 0, 0, 5);
         return fdatasyncSync(fd);
       };
       syncBuiltinESMExports();
       const { exec } = Database.prototype;
       Database.prototype.exec = function (sql) {
         while (sql === 'COMMIT' && is('hangs')) Atomics.wait(sleeper, 0, 0, 5);
         if (sql === 'COMMIT' && is('full'))
           throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
         return exec.call(this, sql);
       };
       await import(${JSON.stringify(KEEPER_THREAD.href)});`,
    );
    this.thread = pathToFileURL(path);
  }

  /** From now on it has this trouble. */
  begin(trouble: Trouble): void {
    writeFileSync(join(this.#folder, trouble), '');
  }

  end(trouble: Trouble): void {
    rmSync(join(this.#folder, trouble), { force: true });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
