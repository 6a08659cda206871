/**
 * The real writer thread on a disk that hangs: its commits, of the database and of the journal, wait until the test
 * lets them go on. What hangs
 * is the thread itself, as it would be inside a sync that does not return.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WRITER_THREAD } from './store.ts';

/** Places in the gate. */
const HELD = 0;
const WAITING = 1;

export class HeldWriter {
  readonly thread: URL;
  readonly #gate = new Int32Array(new SharedArrayBuffer(8));

  constructor(directory: string) {
    const sqlite = createRequire(import.meta.url).resolve('better-sqlite3');
    const path = join(directory, 'held-writer.mjs');
    writeFileSync(
      path,
      `import fs from 'node:fs';
       import { syncBuiltinESMExports } from 'node:module';
       import { workerData } from 'node:worker_threads';
       import Database from ${JSON.stringify(pathToFileURL(sqlite).href)};
       const { gate } = workerData;
       const pass = () => {
         if (Atomics.load(gate, ${HELD}) !== 1) return;
         Atomics.store(gate, ${WAITING}, 1);
         Atomics.wait(gate, ${HELD}, 1);
         Atomics.store(gate, ${WAITING}, 0);
       };
       const { fdatasyncSync } = fs;
       fs.fdatasyncSync = (fd) => {
         pass();
         fdatasyncSync(fd);
       };
       syncBuiltinESMExports();
       const { prepare } = Database.prototype;
       Database.prototype.prepare = function (sql) {
         const statement = prepare.call(this, sql);
         if (sql !== 'COMMIT') return statement;
         return {
           run() {
             pass();
             return statement.run();
           },
         };
       };
       await import(${JSON.stringify(WRITER_THREAD.href)});`,
    );
    this.thread = pathToFileURL(path);
  }

  /** Goes to the thread with its settings. */
  get settings(): object {
    return { gate: this.#gate };
  }

  /** From now on, no commit returns. */
  hold(): void {
    Atomics.store(this.#gate, HELD, 1);
  }

  /** Resolves when the thread hangs in a commit. */
  async isHanging(): Promise<void> {
    while (Atomics.load(this.#gate, WAITING) !== 1)
      await new Promise((resolve) => setImmediate(resolve));
  }

  release(): void {
    Atomics.store(this.#gate, HELD, 0);
    Atomics.notify(this.#gate, HELD);
  }
}
