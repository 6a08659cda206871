/** The thread that keeps transcripts: seals what is to be sealed, and stores it. Wires store and audit together. */
import { Worker, parentPort, workerData } from 'node:worker_threads';
import { seal } from './audit/sealing/age-seal.ts';
import { Journal } from './store/journal.ts';
import { openTranscripts } from './store/transcripts/database.ts';
import { Keeper } from './store/transcripts/keeper.ts';
import { runKeeperLoop } from './store/transcripts/keeper-loop.ts';
import type { FromKeeper, KeeperSettings } from './store/transcripts/messages.ts';

const WAL_CHECKPOINTER = new URL('./wal-checkpointer.js', import.meta.url);

function start(): void {
  if (!parentPort) throw new Error('This file is a thread of the broker; it is not run by itself.');
  const port = parentPort;
  const send = (message: FromKeeper): void => port.postMessage(message);
  try {
    const { path } = workerData as KeeperSettings;
    const connection = openTranscripts(path);
    const journal = new Journal(path.replace(/\.db$/, '.journal'));
    const keeper = new Keeper(connection, path, journal, seal);
    const checkpointer = new Worker(WAL_CHECKPOINTER, { workerData: { path } });
    // Nobody reads what it does: without it, the keeper copies back by itself, at 16 MB.
    checkpointer.on('error', () => undefined);
    checkpointer.unref();
    runKeeperLoop(port, {
      keeper,
      copyBack: () => checkpointer.postMessage(undefined),
      onStop: () => {
        journal.close();
        connection.close();
      },
    });
    send({ kind: 'ready' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    send({ kind: 'refused_to_start', reason: `Transcripts cannot be kept: ${reason}` });
    port.close();
  }
}

start();
