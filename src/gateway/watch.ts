/** Watches over a request: its client, and its time. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { refusal } from '../core/denials.ts';
import { Cancellation, type CancellationListener } from '../lib/cancellation.ts';
import { Ended } from './ended.ts';

/** Cancels when the client has gone or the time is up; and heeds it where an answer is on its way out. */
export class Watch implements CancellationListener {
  readonly cancellation = new Cancellation();
  readonly #res: ServerResponse;
  readonly #socket: Socket;
  readonly #deadline: NodeJS.Timeout;
  #whenLeft: (() => void) | undefined;

  /** @param requestMs how long the request may take, milliseconds */
  constructor({ socket }: IncomingMessage, res: ServerResponse, requestMs: number) {
    this.#res = res;
    this.#socket = socket;
    this.cancellation.listen(this);
    this.#deadline = setTimeout(this.#late, requestMs);
    // Of the socket, too: a response that waits behind another in a pipeline does not hear of its end. Who closes
    // its own side has gone as well: a process that dies does no more, and what it left unread keeps the
    // connection from closing.
    socket.on('close', this.#gone).on('end', this.#gone);
    res.on('close', this.#gone);
    if (socket.destroyed || socket.readableEnded) this.#gone();
  }

  onCancelled(): void {
    // All of the answer is written, and the client has not taken it: what it has not got it does not get.
    if (this.#res.writableEnded && !this.#res.writableFinished) this.#res.destroy();
  }

  /** Resolves when the answer has left, or nobody is there to take it. */
  left(): Promise<void> | undefined {
    if (this.#isOut()) return undefined;
    return new Promise((resolve) => {
      this.#whenLeft = resolve;
      this.#res.once('finish', resolve);
    });
  }

  end(): void {
    clearTimeout(this.#deadline);
    this.#socket.off('close', this.#gone).off('end', this.#gone);
    this.#res.off('close', this.#gone);
  }

  #isOut(): boolean {
    return this.#res.writableFinished || this.#res.destroyed || this.#socket.destroyed;
  }

  readonly #gone = (): void => {
    if (!this.#res.writableFinished)
      this.cancellation.cancel(
        new Ended('client_gone', refusal('invalid_request', 'The client went away.')),
      );
    if (this.#isOut()) this.#whenLeft?.();
  };

  readonly #late = (): void => {
    const why = refusal('upstream_timeout', 'The request took longer than this broker allows.');
    this.cancellation.cancel(new Ended('deadline', why));
  };
}
