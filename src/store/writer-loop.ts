/** The writer thread's loop: takes calls off the port, commits them in groups, answers. */
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { IdleCollection } from '../lib/idle-collection.ts';
import { GroupCommit, MAX_BATCH, type Call, type Committed } from './group-commit.ts';
import type { WriterContext } from './context.ts';
import type { FromWriter, ToWriter } from './thread-messages.ts';

/** Tiles and a signed checkpoint follow the log this closely, off the path of requests. */
const CHECKPOINT_EVERY_MS = 1_000;

/** Serves calls until it is told to stop. `onStop` runs after the last commit. */
export function runWriterLoop(port: MessagePort, context: WriterContext, onStop: () => void): void {
  const committer = new GroupCommit(context);
  const send = (message: FromWriter): void => port.postMessage(message);
  const commit = (calls: readonly Call[], messages: number): Committed => {
    const committed = committer.commit(calls);
    send({ kind: 'committed', messages, ...committed });
    return committed;
  };
  let checkpointed = context.size;
  let checkpointedAt = context.clock();
  const checkpoint = (): void => {
    if (context.size === checkpointed) return;
    const { size, clock } = context;
    const now = clock();
    // Nobody waits for this one: its answer carries an id that no call has.
    const call: Call = {
      id: 0,
      name: 'publishCheckpoint',
      args: { at: now },
      notAfter: now + CHECKPOINT_EVERY_MS,
    };
    const [answer] = commit([call], 0).answers;
    checkpointedAt = now;
    if (answer && 'value' in answer) checkpointed = size;
  };
  const idle = new IdleCollection();
  const timer = setInterval(() => {
    checkpoint();
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
      if (next?.kind === 'stop') {
        clearInterval(timer);
        checkpoint();
        onStop();
        send({ kind: 'stopped' });
        port.close();
        return;
      }
    }
  });
}
