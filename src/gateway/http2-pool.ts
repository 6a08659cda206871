/**
 * Calls over HTTP/2: many share a connection. Of our own, since undici lets no POST share one, and ends what runs on a
 * connection that the upstream wants to leave (GOAWAY).
 */
import type { SecureContext } from 'node:tls';
import { openSession, type OpenSession } from './http2-connect.ts';
import { Connection } from './http2-connection.ts';
import type { IncomingAnswer } from './upstream-answer.ts';
import type { UpstreamTimes, WireRequest } from './wire.ts';

/** So many calls share a connection at most, whatever the upstream allows: they all fall with it. */
const MOST_CALLS = 250;

export class Http2Pool {
  readonly #open: () => Promise<OpenSession>;
  readonly #times: UpstreamTimes;
  /** All that are open, those too that get no more calls. */
  readonly #connections = new Set<Connection>();
  /** What a new connection is expected to carry: as many calls as the last one was allowed. */
  #most = MOST_CALLS;
  #isClosed = false;

  constructor(origin: URL, tls: SecureContext | undefined, times: UpstreamTimes) {
    this.#open = () => openSession(origin, tls, times.connectMs);
    this.#times = times;
  }

  dispatch(request: WireRequest, answer: IncomingAnswer): void {
    if (this.#isClosed) return answer.onResponseError(undefined, new Error('closed'));
    for (const connection of this.#connections)
      if (connection.hasRoom) return connection.take({ request, answer });
    this.#connect().take({ request, answer });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#connections].map((connection) => connection.destroy()));
  }

  #connect(): Connection {
    const connection = new Connection(this.#most, this.#times);
    this.#connections.add(connection);
    void this.#begin(connection);
    return connection;
  }

  async #begin(connection: Connection): Promise<void> {
    const gone = (): void => void this.#connections.delete(connection);
    let opened: OpenSession;
    try {
      opened = await this.#open();
    } catch (error) {
      gone();
      return connection.fail(error as Error);
    }
    this.#most = Math.min(MOST_CALLS, opened.mostStreams);
    const rest = connection.begin(opened, this.#most, gone);
    for (const { request, answer } of rest) this.dispatch(request, answer);
    if (this.#isClosed) await connection.destroy();
  }
}
