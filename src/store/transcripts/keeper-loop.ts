/** The loop of the keeper's thread: takes work off the port, commits all that waits, answers. */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { Keeper } from './keeper.ts';
import type { FromKeeper, ToKeeper, Work } from './messages.ts';

/** Messages of one commit. */
const MOST_MESSAGES = 64;

/** What the journal holds is carried over into the database so soon, or when it has come to so many bytes. */
const CARRY_OVER_AFTER_MS = 100;
const CARRY_OVER_BYTES = 1 << 20;

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
  let timer: NodeJS.Timeout | undefined;
  const carryOver = (): void => {
    clearTimeout(timer);
    timer = undefined;
    keeper.carryOver();
  };
  const carryOverSoon = (): void => {
    if (keeper.backlogBytes >= CARRY_OVER_BYTES) carryOver();
    else if (keeper.backlogBytes > 0) timer ??= setTimeout(carryOver, CARRY_OVER_AFTER_MS);
  };
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
      carryOverSoon();
      if (next?.kind === 'stop') {
        carryOver();
        onStop();
        send({ kind: 'stopped' });
        port.close();
        return;
      }
    }
  });
}
