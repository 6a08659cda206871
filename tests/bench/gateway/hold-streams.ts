/** The clients' part: streams that go on until somebody ends them. */
import { Connection } from './connection.ts';
import { Deferred } from './deferred.ts';

export interface Hold {
  kind: 'hold';
  port: number;
  request: string;
  streams: number;
}

/** Asked after `Hold`: resolves when all of them have ended. */
export interface AwaitEnd {
  kind: 'await end';
}

export interface Ended {
  /** When the last of them ended, as `monotonicMs` counts. */
  lastAt: number;
  /** With an error event in the body that says why. */
  withError: number;
  /** As if they were whole, or without a word. */
  withoutError: number;
}

/** The machine's clock, the same for all processes. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const ERROR_EVENT = /\n\ndata: \{[^\n]*"error":\{[^\n]*\}\n\n$/;

/** Opens streams. @returns once each has had its first event; the end of all of them is to be awaited */
export async function holdStreams(work: Hold): Promise<{ ended: Promise<Ended> }> {
  const request = Buffer.from(work.request);
  const result: Ended = { lastAt: 0, withError: 0, withoutError: 0 };
  const ends: Deferred<void>[] = [];
  const opened = Array.from({ length: work.streams }, async () => {
    const begun = new Deferred<void>();
    const over = new Deferred<void>();
    ends.push(over);
    let isOver = false;
    const end = (connection: Connection): void => {
      if (isOver) return;
      isOver = true;
      const { tail } = connection.response;
      result.lastAt = monotonicMs();
      if (ERROR_EVENT.test(tail)) result.withError += 1;
      else result.withoutError += 1;
      over.resolve();
      begun.reject(new Error(`A stream ended before it had begun: ${tail}`));
      connection.close();
    };
    const onRead = ({ response: { events } }: Connection): void => {
      if (events > 0) begun.resolve();
    };
    const connection = await Connection.open(work.port, { onRead, onResponse: end, onClose: end });
    connection.send(request);
    await begun.promise;
  });
  await Promise.all(opened);
  return { ended: Promise.all(ends.map(({ promise }) => promise)).then(() => result) };
}
