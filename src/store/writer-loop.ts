/** The writer thread's loop: takes calls off the port, commits them in groups, answers. */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { IdleCollection } from '../lib/idle-collection.ts';
import { MAX_BATCH, type Call, type Committed, type GroupCommit } from './group-commit.ts';
import type { WriterContext } from './context.ts';
import { oldIndex } from './old-indexes.ts';
import { arePrunedLeft } from './remove-pruned.ts';
import type { OperationName } from './operations/index.ts';
import type { FromWriter, ToWriter } from './thread-messages.ts';

/** Tiles and a signed checkpoint follow the log this closely, off the path of requests. */
const CHECKPOINT_EVERY_MS = 1_000;

/**
 * What the journal holds is carried over into the database so soon, or when it has come to so many entries: that takes 2
 * to 3 ms, for which requests wait.
 */
const CARRY_OVER_AFTER_MS = 100;
const CARRY_OVER_ENTRIES = 256;

/** What an upgrade left to be indexed or taken away, and what was pruned, is done in steps of some milliseconds, with such pauses between them. */
const PAUSE_BETWEEN_STEPS_MS = 20;

/** The write-ahead log is copied back into the database each time the log has grown by so many entries. */
const COPY_BACK_ENTRIES = 2_048;

export interface WriterLoop {
  context: WriterContext;
  committer: GroupCommit;
  /** Has the write-ahead log of the database copied back, and does not wait for it. */
  copyBack: () => void;
  /** Runs after the last commit. */
  onStop: () => void;
}

/** Serves calls until it is told to stop. */
export function runWriterLoop(port: MessagePort, loop: WriterLoop): void {
  const { context, committer, copyBack, onStop } = loop;
  const send = (message: FromWriter): void => port.postMessage(message);
  const commit = (calls: readonly Call[], messages: number): Committed => {
    const committed = committer.commit(calls);
    send({ kind: 'committed', messages, ...committed });
    return committed;
  };
  /** Nobody waits for it: its answer carries an id that no call has. */
  const commitOwn = (name: OperationName, args: unknown): Committed => {
    const notAfter = context.clock() + CHECKPOINT_EVERY_MS;
    return commit([{ id: 0, name, args, notAfter }], 0);
  };
  let carryOverTimer: NodeJS.Timeout | undefined;
  let copiedBack = context.indexed;
  const carryOver = (): void => {
    clearTimeout(carryOverTimer);
    carryOverTimer = undefined;
    if (context.backlog.size > 0) commitOwn('catchUp', {});
    if (context.indexed - copiedBack < COPY_BACK_ENTRIES) return;
    copiedBack = context.indexed;
    copyBack();
  };
  const carryOverSoon = (): void => {
    const { size } = context.backlog;
    if (size >= CARRY_OVER_ENTRIES) carryOver();
    else if (size > 0) carryOverTimer ??= setTimeout(carryOver, CARRY_OVER_AFTER_MS);
  };
  let checkpointed = context.size;
  let checkpointedAt = context.clock();
  const checkpoint = (): void => {
    if (context.size === checkpointed) return;
    const { size, clock } = context;
    const now = clock();
    const [answer] = commitOwn('publishCheckpoint', { at: now }).answers;
    checkpointedAt = now;
    if (answer && 'value' in answer) checkpointed = size;
  };
  let stepTimer: NodeJS.Timeout | undefined;
  let oldIndexesLeft = oldIndex(context.db) !== undefined;
  const step = (): void => {
    stepTimer = undefined;
    if (committer.isIndexBehind) commitOwn('catchUp', {});
    else if (oldIndexesLeft) {
      commitOwn('shrinkOldIndexes', {});
      oldIndexesLeft = oldIndex(context.db) !== undefined;
    } else if (arePrunedLeft(context.db)) {
      // On a disk that is full or hangs, the next second will do.
      if (commitOwn('removePruned', {}).why !== undefined) return;
    } else return;
    stepTimer = setTimeout(step, PAUSE_BETWEEN_STEPS_MS);
  };
  const idle = new IdleCollection();
  const timer = setInterval(() => {
    checkpoint();
    if (!stepTimer) step();
    idle.look(context.size);
  }, CHECKPOINT_EVERY_MS);

  port.on('message', (first: ToWriter) => {
    let next: ToWriter | undefined = first;
    while (next !== undefined) {
      const calls: Call[] = [];
      let messages = 0;
      while (next?.kind === 'calls' && calls.length < MAX_BATCH) {
        calls.push(...next.calls);
        messages += 1;
        next = receiveMessageOnPort(port)?.message as ToWriter | undefined;
      }
      for (let i = 0; i < calls.length; i += MAX_BATCH) {
        commit(calls.slice(i, i + MAX_BATCH), messages);
        messages = 0;
      }
      // As long as messages wait, no timer fires.
      if (context.clock() - checkpointedAt >= CHECKPOINT_EVERY_MS) checkpoint();
      carryOverSoon();
      if (next?.kind === 'stop') {
        clearInterval(timer);
        clearTimeout(stepTimer);
        checkpoint();
        carryOver();
        onStop();
        send({ kind: 'stopped' });
        port.close();
        return;
      }
    }
  });
}
