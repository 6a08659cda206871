/** The clients' part: requests whose answers are no streams, one after the other on each connection. */
import { Connection } from './connection.ts';
import { Deferred } from './deferred.ts';
import { Samples, type Spread } from './samples.ts';

export interface Requests {
  kind: 'requests';
  port: number;
  /** The bytes of one, head and body. */
  request: string;
  connections: number;
  /** Not counted. */
  warmUpMs: number;
  ms: number;
  /** Of each answer's body. */
  expectedBytes: number;
}

export interface RequestsSent {
  /** Answered in all. */
  total: number;
  /** Of them, in the time that counts. */
  count: number;
  seconds: number;
  /** Milliseconds. */
  latency: Spread;
}

/** @throws when any answer is not as it should be */
export async function sendRequests(work: Requests): Promise<RequestsSent> {
  const { port, connections, warmUpMs, ms, expectedBytes } = work;
  const request = Buffer.from(work.request);
  const latencies = new Samples();
  const finished = new Deferred<void>();
  let total = 0;
  let from = Infinity;
  let until = Infinity;
  let underWay = connections;
  const onResponse = (connection: Connection): void => {
    const { status, bodyBytes, tail } = connection.response;
    if (status !== 200 || bodyBytes !== expectedBytes) {
      const what = `An answer had status ${status} and ${bodyBytes} bytes. It ends: ${tail}`;
      return finished.reject(new Error(what));
    }
    const now = performance.now();
    total += 1;
    if (now >= from && now <= until) latencies.add(now - connection.sentAt);
    if (now < until) return connection.send(request);
    underWay -= 1;
    if (underWay === 0) finished.resolve();
  };
  const onClose = (_: Connection, why: Error | undefined): void =>
    finished.reject(new Error('A connection was closed.', { cause: why }));
  const open = (): Promise<Connection> => Connection.open(port, { onResponse, onClose });
  const all = await Promise.all(Array.from({ length: connections }, open));
  from = performance.now() + warmUpMs;
  until = from + ms;
  for (const connection of all) connection.send(request);
  try {
    await finished.promise;
  } finally {
    for (const connection of all) connection.close();
  }
  return { total, count: latencies.count, seconds: ms / 1000, latency: latencies.spread() };
}
