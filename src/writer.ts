/** The writer thread: the only place that opens the database for writing. Wires store and audit together. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { openLogKey } from './audit/log-key.ts';
import { WriterContext } from './store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from './store/database.ts';
import { lockDataDirectory } from './store/lock.ts';
import { migrate, refuseNewerDatabase } from './store/migrations.ts';
import type { FromWriter, WriterSettings } from './store/thread-messages.ts';
import { runWriterLoop } from './store/writer-loop.ts';
import { systemClock } from './lib/clock.ts';

function start(): void {
  if (!parentPort)
    throw new Error('This file is the writer thread of the broker; it is not run by itself.');
  const port = parentPort;
  const send = (message: FromWriter): void => port.postMessage(message);
  try {
    const { dataDir, origin } = workerData as WriterSettings;
    const path = join(dataDir, DATABASE_FILE);
    refuseNewerDatabase(path);
    const unlock = lockDataDirectory(dataDir);
    const connection = openForWriting(path);
    migrate(connection);
    const db = withDrizzle(connection);
    const logKey = openLogKey(join(dataDir, 'keys', 'log.pem'), origin);
    const context = new WriterContext(db, logKey, systemClock);
    const known = context.readMeta('log_origin');
    if (known === undefined) context.writeMeta('log_origin', origin);
    else if (known !== origin) {
      throw new Error(
        `The log in ${dataDir} has the origin "${known}", not "${origin}". Set "log.origin" to "${known}": a log keeps its name for ever.`,
      );
    }
    runWriterLoop(port, context, () => {
      connection.close();
      unlock();
    });
    send({ kind: 'ready', origin, verifierKey: logKey.verifierKey, epoch: context.epoch });
  } catch (error) {
    send({
      kind: 'refused_to_start',
      reason: error instanceof Error ? error.message : String(error),
    });
    port.close();
  }
}

start();
