/** Writes events to a client: one write to its connection for each read from the upstream. */
import type { ServerResponse } from 'node:http';
import type { Cancellation } from '../lib/cancellation.ts';

/** A comment, which every client skips. */
const KEEP_ALIVE = ': keep-alive\n\n';

export class EventWriter {
  readonly #res: ServerResponse;
  readonly #cancellation: Cancellation;
  readonly #quiet: NodeJS.Timeout | undefined;
  /** The head waits for the first event that comes in the same turn: they leave together. */
  readonly #opening: NodeJS.Immediate;
  /** Whether the body is sent in chunks (RFC 9112, 7.1), and has begun. */
  #isInChunks = false;

  /**
   * @param res its head is written, but has not left
   * @param options.keepAliveMs a comment is sent when nothing was for so long; 0 for none
   */
  constructor(
    res: ServerResponse,
    { cancellation, keepAliveMs }: { cancellation: Cancellation; keepAliveMs: number },
  ) {
    this.#res = res;
    this.#cancellation = cancellation;
    this.#opening = setImmediate(() => res.flushHeaders());
    if (keepAliveMs > 0) this.#quiet = setTimeout(() => this.#keepAlive(), keepAliveMs);
  }

  /**
   * Writes whole events.
   *
   * @param events in Latin-1, a character for a byte
   * @returns where the client is slower than the upstream: resolves when it has caught up, and never if it has gone
   */
  write(events: string): Promise<void> | undefined {
    if (events === '') return undefined;
    this.#cancellation.throwIfCancelled();
    return this.#send(events) ? undefined : this.#drained();
  }

  /** Nothing more is written here, comments included. */
  stop(): void {
    clearImmediate(this.#opening);
    clearTimeout(this.#quiet);
  }

  /**
   * Says whether there is room for more. The response writes the head and the first events. To write the others it
   * would hold the connection back until the turn's end and then give it four pieces, the chunk and what stands around
   * it, which costs a fifth of all that an event does: those are written as one piece to the connection itself.
   */
  #send(events: string): boolean {
    this.#quiet?.refresh();
    clearImmediate(this.#opening);
    const { socket } = this.#res;
    if (this.#isInChunks && socket?.writable)
      return socket.write(`${events.length.toString(16)}\r\n${events}\r\n`, 'latin1');
    this.#isInChunks = this.#res.req.httpVersion === '1.1';
    return this.#res.write(events, 'latin1');
  }

  #drained(): Promise<void> {
    const full = this.#res.writableNeedDrain ? this.#res : this.#res.socket;
    return new Promise((resolve) => full?.once('drain', resolve));
  }

  /** Only whole events are written, so that a comment never stands inside one. */
  #keepAlive(): void {
    const { writableNeedDrain, socket } = this.#res;
    const isFull = writableNeedDrain || socket?.writableNeedDrain === true;
    // Who does not even take what was sent is not waiting for more.
    if (isFull || this.#cancellation.isCancelled) this.#quiet?.refresh();
    else this.#send(KEEP_ALIVE);
  }
}
