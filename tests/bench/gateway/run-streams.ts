/** The clients' part: streams at a pace, some after another, with all that shows how they came. */
import { TERMINAL_EVENT } from './chat.ts';
import { Connection } from './connection.ts';
import { Deferred } from './deferred.ts';
import { Samples, type Spread } from './samples.ts';

export interface Streams {
  kind: 'streams';
  port: number;
  request: string;
  /** At a time, each on a connection of its own. */
  lanes: number;
  /** In this time, evenly, they begin. */
  rampMs: number;
  /** One after the other in each lane. */
  streamsEach: number;
  /** Gaps count from then on, from the start. */
  countFromMs: number;
  countUntilMs: number;
  expectedEvents: number;
  expectedBytes: number;
}

export interface StreamsRun {
  /** Milliseconds from the request to the first byte of the body. */
  firstByte: Spread;
  /** Milliseconds from one event to the next. */
  gap: Spread;
  whole: number;
  /** Refused, ended by an error that says so, or broken off: no client takes any of it for an answer. */
  refused: number;
  /** What the first of them was told. */
  refusal: string;
}

/** Runs them. @throws when a stream ends as if it were whole, and is not */
export async function runStreams(work: Streams): Promise<StreamsRun> {
  const request = Buffer.from(work.request);
  const firstByte = new Samples();
  const gap = new Samples();
  const start = performance.now();
  let whole = 0;
  const refusals: string[] = [];

  const runLane = async (): Promise<void> => {
    const finished = new Deferred<void>();
    let left = work.streamsEach;
    let seen = 0;
    let lastAt = 0;
    let isOver = false;
    const onRead = ({ response, sentAt }: Connection): void => {
      const fresh = response.events - seen;
      if (fresh === 0) return;
      const now = performance.now();
      if (seen === 0) firstByte.add(now - sentAt);
      else if (now - start >= work.countFromMs && now - start <= work.countUntilMs) {
        gap.add(now - lastAt);
        for (let i = 1; i < fresh; i += 1) gap.add(0);
      }
      seen = response.events;
      lastAt = now;
    };
    const next = (connection: Connection): void => {
      seen = 0;
      left -= 1;
      connection.send(request);
    };
    const onResponse = (connection: Connection): void => {
      const { status, events, bodyBytes, tail } = connection.response;
      const isWhole =
        status === 200 &&
        events === work.expectedEvents &&
        bodyBytes === work.expectedBytes &&
        tail.endsWith(TERMINAL_EVENT);
      if (isWhole) whole += 1;
      else if (tail.includes('"error"')) refusals.push(tail);
      else {
        const what = `A stream had status ${status}, ${events} events, ${bodyBytes} bytes.`;
        return finished.reject(new Error(`${what} It ends: ${tail}`));
      }
      if (left > 0) return next(connection);
      isOver = true;
      finished.resolve();
    };
    const onClose = (_: Connection, why: Error | undefined): void => {
      if (isOver) return;
      refusals.push(`The connection was closed after ${seen} events. ${why?.message ?? ''}`);
      finished.resolve();
    };
    const connection = await Connection.open(work.port, { onRead, onResponse, onClose });
    next(connection);
    try {
      await finished.promise;
    } finally {
      connection.close();
    }
  };

  const lanes = Array.from({ length: work.lanes }, async (_, n) => {
    await new Promise((resolve) => setTimeout(resolve, (n * work.rampMs) / work.lanes));
    await runLane();
  });
  await Promise.all(lanes);
  return {
    firstByte: firstByte.spread(),
    gap: gap.spread(),
    whole,
    refused: refusals.length,
    refusal: refusals[0] ?? '',
  };
}
