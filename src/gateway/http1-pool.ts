/** Connections over HTTP/1.1 to one upstream: one call at a time on each, as many as there are calls. */
import { Client, buildConnector, type Dispatcher } from 'undici';
import type { IncomingHttpHeaders } from 'node:http';
import type { SecureContext } from 'node:tls';
import type { Flow, IncomingAnswer } from './upstream-answer.ts';
import type { UpstreamTimes, WireRequest } from './wire.ts';

/** Connections without a request are closed after so long, unless the upstream says that it keeps them longer. */
const KEPT_ALIVE_MS = 4_000;

/** What an upstream says of how long it keeps them is taken for so much less: no request should meet its close. */
const KEPT_ALIVE_MARGIN_MS = 1_000;

export class Http1Pool {
  readonly #origin: string;
  readonly #options: Client.Options;
  readonly #connections = new Set<Connection>();
  /** Those that wait for a call. The one that was used last is used next, so that the others can close. */
  #idle: Connection[] = [];
  #isClosed = false;

  constructor({ origin }: URL, tls: SecureContext | undefined, times: UpstreamTimes) {
    this.#origin = origin;
    this.#options = {
      pipelining: 1,
      // One for all: it remembers TLS sessions. rejectUnauthorized is said here, so that no variable of the
      // environment can switch it off.
      connect: buildConnector({
        timeout: times.connectMs,
        ...(tls ? { secureContext: tls, rejectUnauthorized: true } : {}),
      }),
      keepAliveTimeout: KEPT_ALIVE_MS,
      keepAliveTimeoutThreshold: KEPT_ALIVE_MARGIN_MS,
      headersTimeout: times.firstByteMs,
      bodyTimeout: times.idleMs,
    };
  }

  dispatch({ path, headers, body }: WireRequest, answer: IncomingAnswer): void {
    if (this.#isClosed) return answer.onResponseError(undefined, new Error('closed'));
    const connection = this.#idle.pop() ?? this.#open();
    const call = new Http1Call(answer, connection);
    connection.client.dispatch({ method: 'POST', path, headers, body }, call);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#connections].map((connection) => connection.end()));
  }

  #open(): Connection {
    const connection = new Connection(new Client(this.#origin, this.#options), {
      free: () => void this.#idle.push(connection),
      over: () => {
        this.#connections.delete(connection);
        this.#idle = this.#idle.filter((other) => other !== connection);
      },
    });
    this.#connections.add(connection);
    return connection;
  }
}

/** A client of undici's with its one connection, for as long as that is open. */
class Connection {
  readonly client: Client;
  readonly #told: { free(this: void): void; over(this: void): void };
  #isBusy = true;
  #isOpen = false;

  constructor(client: Client, told: { free(this: void): void; over(this: void): void }) {
    this.client = client;
    this.#told = told;
    client.on('connect', () => (this.#isOpen = true));
    client.on('disconnect', () => {
      this.#isOpen = false;
      if (!this.#isBusy) void this.end();
    });
  }

  begin(): void {
    this.#isBusy = true;
  }

  /** Its call is over. */
  release(): void {
    this.#isBusy = false;
    if (this.client.destroyed) return;
    if (this.#isOpen) this.#told.free();
    else void this.end();
  }

  async end(): Promise<void> {
    this.#told.over();
    await this.client.destroy();
  }
}

class Http1Call implements Dispatcher.DispatchHandler, Flow {
  readonly #answer: IncomingAnswer;
  readonly #connection: Connection;
  #controller: Dispatcher.DispatchController | undefined;

  constructor(answer: IncomingAnswer, connection: Connection) {
    this.#answer = answer;
    this.#connection = connection;
    connection.begin();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#answer.onRequestStart(this);
  }

  onResponseStart(_flow: Flow, statusCode: number, headers: IncomingHttpHeaders): void {
    this.#answer.onResponseStart(this, statusCode, headers);
  }

  onResponseData(_flow: Flow, chunk: Buffer): void {
    this.#answer.onResponseData(this, chunk);
  }

  onResponseEnd(): void {
    this.#answer.onResponseEnd();
    this.#connection.release();
  }

  onResponseError(_flow: Flow | undefined, error: Error): void {
    this.#answer.onResponseError(this, error);
    this.#connection.release();
  }

  /** The client goes with its connection: undici would open another one for a call that nobody wants any more. */
  abort(reason: Error): void {
    this.#controller?.abort(reason);
    void this.#connection.end();
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }
}
