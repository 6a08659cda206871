/** The writer thread: the only place that opens the database for writing. Wires store and audit together. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker, parentPort, workerData } from 'node:worker_threads';
import { createLogKey, loadLogKey, openLogKeys, type LogKey } from './audit/log-key.ts';
import { WriterContext } from './store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle, type Db } from './store/database.ts';
import { adoptFirstLogKey, readLogKeys } from './store/log-key-rows.ts';
import { GroupCommit } from './store/group-commit.ts';
import { JOURNAL_FILE, Journal } from './store/journal.ts';
import { noteMissingJournal, wasJournalMissing } from './store/missing-journal.ts';
import { lockDataDirectory } from './store/lock.ts';
import { migrate, refuseNewerDatabase } from './store/migrations.ts';
import type { FromWriter, WriterSettings } from './store/thread-messages.ts';
import { readMeta } from './store/records.ts';
import { runWriterLoop } from './store/writer-loop.ts';
import { systemClock } from './lib/clock.ts';

const WAL_CHECKPOINTER = new URL('./wal-checkpointer.js', import.meta.url);

function start(): void {
  if (!parentPort)
    throw new Error('This file is the writer thread of the broker; it is not run by itself.');
  const port = parentPort;
  const send = (message: FromWriter): void => port.postMessage(message);
  let close = (): void => undefined;
  try {
    const { dataDir, origin, rules, grants, channels } = workerData as WriterSettings;
    const path = join(dataDir, DATABASE_FILE);
    refuseNewerDatabase(path);
    const unlock = lockDataDirectory(dataDir);
    close = unlock;
    const connection = openForWriting(path);
    close = () => {
      connection.close();
      unlock();
    };
    migrate(connection);
    const db = withDrizzle(connection);
    const journalPath = join(dataDir, JOURNAL_FILE);
    noteMissingJournal(db, journalPath);
    const journal = new Journal(journalPath);
    close = () => {
      journal.close();
      connection.close();
      unlock();
    };
    const known = readMeta(db, 'log_origin');
    if (known !== undefined && known !== origin) {
      throw new Error(
        `The log in ${dataDir} has the origin "${known}", not "${origin}". Set "log.origin" to "${known}": a log keeps its name for ever.`,
      );
    }
    const { key: logKey, missing: logKeysMissing } = openKeys(
      db,
      dataDir,
      origin,
      known === undefined,
    );
    const context = new WriterContext(db, logKey, systemClock, rules, grants, channels);
    if (known === undefined) context.writeMeta('log_origin', origin);
    const committer = new GroupCommit(context, journal);
    committer.takeOver();
    const journalWasMissing = wasJournalMissing(db);
    const checkpointer = new Worker(WAL_CHECKPOINTER, { workerData: { path } });
    // Nobody reads what it does: without it, the writer copies back by itself, at 16 MB.
    checkpointer.on('error', () => undefined);
    checkpointer.unref();
    runWriterLoop(port, {
      context,
      committer,
      copyBack: () => checkpointer.postMessage(undefined),
      onStop: close,
    });
    send({
      kind: 'ready',
      origin,
      verifierKey: logKey.verifierKey,
      journalWasMissing,
      logKeysMissing,
    });
  } catch (error) {
    close();
    send({
      kind: 'refused_to_start',
      reason: error instanceof Error ? error.message : String(error),
    });
    port.close();
  }
}

const LOG_KEY_FILE = 'log.pem';

/** The keys that the database says sign the log; the first one is noted down where it says nothing yet. */
function openKeys(
  db: Db,
  dataDir: string,
  origin: string,
  isNewLog: boolean,
): { key: LogKey; missing: string[] } {
  const folder = join(dataDir, 'keys');
  const known = readLogKeys(db);
  const now = systemClock();
  if (known.length > 0) return openLogKeys(folder, origin, known, now);
  const key = openLogKey(join(folder, LOG_KEY_FILE), origin, isNewLog);
  adoptFirstLogKey(db, key.verifierKey, LOG_KEY_FILE, now);
  return { key, missing: [] };
}

/** A log that has begun keeps its key: with a new one, no later checkpoint could be tied to an earlier one. */
function openLogKey(path: string, origin: string, isNewLog: boolean): LogKey {
  return isNewLog && !existsSync(path) ? createLogKey(path, origin) : loadLogKey(path, origin);
}

start();
