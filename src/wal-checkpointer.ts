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
    // Tried again with the next entries, and by the writer when the write-ahead log has come to 16 MB. A disk that is broken
    // says so to those who wait for a commit.
  }
});
