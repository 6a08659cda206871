/**
 * The thread that copies the database's write-ahead log back into the database, so that the writer does not stand still
 * for the tens of milliseconds which that takes. It changes nothing that anybody reads.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { openForCheckpoints } from './store/database.ts';

const connection = openForCheckpoints((workerData as { path: string }).path);

parentPort?.on('message', () => {
  try {
    connection.pragma('wal_checkpoint(PASSIVE)');
  } catch {
    // The writer's own checkpoint, at a longer write-ahead log, meets the same and says so to those who wait for it.
  }
});
