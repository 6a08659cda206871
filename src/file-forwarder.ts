/** The thread that writes one of the files to which the log is forwarded (src/forward/file.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { appendLines, type LinesFile } from './forward/append-lines.ts';
import type { Appended } from './forward/file.ts';

parentPort?.on('message', (lines: Uint8Array) => {
  let answer: Appended = {};
  try {
    appendLines(workerData as LinesFile, lines);
  } catch (error) {
    answer = { failed: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(answer);
});
