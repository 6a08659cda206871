/** The loop of the keeper's thread: takes work off the port, commits all that waits, answers. */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { Keeper } from './keeper.ts';
import type { FromKeeper, ToKeeper, Work } from './messages.ts';

/** Messages of one commit. */
const MOST_MESSAGES = 64;

/** The write-ahead log is copied back into the database after so many bytes. */
const COPY_BACK_BYTES = 4 << 20;

export interface KeeperLoop {
  keeper: Keeper;
  /** Has the write-ahead log of the database copied back, and does not wait for it. */
  copyBack: () => void;
  /** Runs after the last commit. */
  onStop: () => void;
}

/** Serves work until it is told to stop. */
export function runKeeperLoop(port: MessagePort, { keeper, copyBack, onStop }: KeeperLoop): void {
  const send = (message: FromKeeper): void => port.postMessage(message);
  let sinceCopied = 0;
  port.on('message', (first: ToKeeper) => {
    let next: ToKeeper | undefined = first;
    while (next !== undefined) {
      const work: Work[] = [];
      let messages = 0;
      while (next?.kind === 'work' && messages < MOST_MESSAGES) {
        work.push(...next.work);
        messages += 1;
        next = receiveMessageOnPort(port)?.message as ToKeeper | undefined;
      }
      if (work.length > 0) send({ kind: 'done', done: keeper.commit(work), messages });
      for (const one of work) if ('bytes' in one) sinceCopied += one.bytes.length;
      if (sinceCopied >= COPY_BACK_BYTES) {
        sinceCopied = 0;
        copyBack();
      }
      if (next?.kind === 'stop') {
        onStop();
        send({ kind: 'stopped' });
        port.close();
        return;
      }
    }
  });
}
