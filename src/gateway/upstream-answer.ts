/** An upstream's answer as it comes: head, reads, end; from either version of HTTP. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Cancellation, CancellationListener } from '../lib/cancellation.ts';
import { failureOf, type UpstreamFailure } from './upstream-failure.ts';

/** Holds, goes on with or ends what the upstream sends. */
export type Flow = Pick<Dispatcher.DispatchController, 'abort' | 'pause' | 'resume'>;

/** Nobody reads yet: more than this waits in the connection, not in memory. */
const UNREAD_BYTES = 65_536;

export interface UpstreamAnswer {
  readonly statusCode: number;
  /** A header as it was sent: some come more than once. */
  header(name: string): readonly string[];
  /**
   * Reads the answer to its end, each read once, in order, as it comes. While a promise of onChunk is pending,
   * nothing more is read, and the idle deadline rests. What onChunk throws ends the answer.
   *
   * @throws UpstreamFailure; the reason of the cancellation; what onChunk threw
   */
  read(onChunk: (chunk: Buffer) => void | Promise<void>): Promise<void>;
  /**
   * No more is wanted: `read` resolves as soon as nothing of onChunk is pending; what is left is thrown away, so that
   * the connection can serve again.
   */
  finish(lingerMs: number): void;
  /** Ends it at once: HTTP/1.1 closes the connection, HTTP/2 resets the stream. `read` rejects. */
  destroy(): void;
}

interface Settling {
  resolve(this: void): void;
  reject(this: void, reason: unknown): void;
}

interface CallParts {
  cancellation: Cancellation;
  /** The first byte is about to leave. */
  sending(this: void): void;
  /** The connection failed, not we. */
  failed(this: void, failure: UpstreamFailure): void;
}

/** One call: what a connection tells of it goes in, the answer comes out. */
export class IncomingAnswer
  implements UpstreamAnswer, Dispatcher.DispatchHandler, CancellationListener
{
  statusCode = 0;
  #headers: IncomingHttpHeaders = {};
  readonly #parts: CallParts;
  /** Whoever waits at the moment: for the head, then for the end. */
  #waiter: Settling;
  #flow: Flow | undefined;
  #onChunk: ((chunk: Buffer) => void | Promise<void>) | undefined;
  /** Not taken yet: nobody reads, or the reader is busy. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #isBusy = false;
  /** The connection was told to wait. */
  #isHeld = false;
  #isDelivering = false;
  /** No more is wanted. */
  #isFinished = false;
  /** Whoever waited has heard the last. */
  #isClosed = false;
  #ended: { failure: unknown } | undefined;
  #linger: NodeJS.Timeout | undefined;

  /** @param head resolved when the answer begins */
  constructor(parts: CallParts, head: Settling) {
    this.#parts = parts;
    this.#waiter = head;
    parts.cancellation.listen(this);
  }

  onCancelled(): void {
    this.#close(this.#parts.cancellation.reason);
  }

  onRequestStart(flow: Flow): void {
    // A call is sent once, whatever becomes of its connection; and not at all when it was ended while it waited.
    const isSecond = this.#flow !== undefined;
    if (isSecond || this.#isClosed) return flow.abort(new Error('ended before it was sent'));
    this.#flow = flow;
    this.#parts.sending();
  }

  onResponseStart(_flow: Flow, statusCode: number, headers: IncomingHttpHeaders): void {
    // Informational (RFC 9110, 15.2): the answer is still to come.
    if (statusCode < 200 || this.#isClosed) return;
    this.statusCode = statusCode;
    this.#headers = headers;
    this.#waiter.resolve();
  }

  onResponseData(flow: Flow, chunk: Buffer): void {
    if (this.#isClosed || this.#isFinished) return;
    if (this.#onChunk && !this.#isBusy && this.#unread.length === 0) {
      this.#deliver(this.#onChunk, chunk);
      return;
    }
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    if (this.#unreadBytes > UNREAD_BYTES) this.#hold(flow);
  }

  onResponseEnd(): void {
    this.#over(undefined);
  }

  onResponseError(_flow: Flow | undefined, error: Error): void {
    if (this.#ended) return;
    const failure = failureOf(error, this.#flow !== undefined);
    this.#parts.failed(failure);
    this.#over(failure);
  }

  header(name: string): readonly string[] {
    const said = this.#headers[name];
    return said === undefined ? [] : Array.isArray(said) ? said : [said];
  }

  read(onChunk: (chunk: Buffer) => void | Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#onChunk = onChunk;
      if (!this.#isClosed) this.#goOn();
      else if (this.#ended?.failure === undefined) resolve();
      else reject(this.#ended.failure);
    });
  }

  finish(lingerMs: number): void {
    if (this.#isClosed || this.#isFinished) return;
    this.#isFinished = true;
    this.#unread = [];
    if (!this.#ended) {
      this.#linger = setTimeout(() => this.destroy(), lingerMs);
      this.#release();
    }
    if (!this.#isDelivering) this.#goOn();
  }

  destroy(): void {
    this.#close(new Error('The answer is not wanted any more.'));
  }

  /** The connection has told the last of it. */
  #over(failure: unknown): void {
    clearTimeout(this.#linger);
    this.#ended ??= { failure };
    if (!this.#onChunk && failure !== undefined) this.#waiter.reject(failure);
    this.#goOn();
  }

  /** Ends the answer from our side: nothing more is handed out. */
  #close(reason: unknown): void {
    clearTimeout(this.#linger);
    const goesOn = this.#ended === undefined;
    this.#ended ??= { failure: reason };
    if (!this.#isClosed) this.#settle(reason);
    if (goesOn) this.#flow?.abort(reason instanceof Error ? reason : new Error('ended'));
  }

  #goOn(): void {
    const onChunk = this.#onChunk;
    if (this.#isBusy || this.#isClosed) return;
    if (this.#isFinished) return this.#settle(undefined);
    if (!onChunk) return;
    for (let chunk = this.#unread.shift(); chunk; chunk = this.#unread.shift()) {
      this.#unreadBytes -= chunk.length;
      this.#deliver(onChunk, chunk);
      if (this.#isBusy || this.#isClosed) return;
    }
    if (this.#ended) this.#settle(this.#ended.failure);
    else this.#release();
  }

  #deliver(onChunk: (chunk: Buffer) => void | Promise<void>, chunk: Buffer): void {
    this.#isDelivering = true;
    try {
      const taken = onChunk(chunk);
      if (taken) {
        this.#isBusy = true;
        if (!this.#isFinished) this.#hold(this.#flow);
        void this.#wait(taken);
      }
    } catch (error) {
      this.#close(error);
    }
    this.#isDelivering = false;
    if (this.#isFinished) this.#goOn();
  }

  async #wait(taken: Promise<void>): Promise<void> {
    try {
      await taken;
    } catch (error) {
      return this.#close(error);
    }
    this.#isBusy = false;
    this.#goOn();
  }

  #settle(failure: unknown): void {
    this.#isClosed = true;
    this.#unread = [];
    if (failure === undefined) this.#waiter.resolve();
    else this.#waiter.reject(failure);
  }

  #hold(flow: Flow | undefined): void {
    this.#isHeld = true;
    flow?.pause();
  }

  #release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#flow?.resume();
  }
}
