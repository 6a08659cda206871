/** Writes events to a client: one write to its connection for each read from the upstream. */
import type { ServerResponse } from 'node:http';
import type { Cancellation } from '../lib/cancellation.ts';

/** A comment, which every client skips. */
const KEEP_ALIVE = Buffer.from(': keep-alive\n\n');

export class EventWriter {
  readonly #res: ServerResponse;
  readonly #cancellation: Cancellation;
  readonly #quiet: NodeJS.Timeout | undefined;
  /** The head waits for the first event that comes in the same turn: they leave together. */
  readonly #opening: NodeJS.Immediate;

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
   * @returns where the client is slower than the upstream: resolves when it has caught up, and never if it has gone
   */
  write(events: readonly Buffer[]): Promise<void> | undefined {
    if (events.length === 0) return undefined;
    this.#cancellation.throwIfCancelled();
    return this.#send(events) ? undefined : this.#drained();
  }

  /** Nothing more is written here, comments included. */
  stop(): void {
    clearImmediate(this.#opening);
    clearTimeout(this.#quiet);
  }

  /** Says whether there is room for more. */
  #send(events: readonly Buffer[]): boolean {
    this.#quiet?.refresh();
    clearImmediate(this.#opening);
    return this.#res.write(events.length === 1 ? events[0] : Buffer.concat(events));
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => this.#res.once('drain', resolve));
  }

  /** Only whole events are written, so that a comment never stands inside one. */
  #keepAlive(): void {
    // Who does not even take what was sent is not waiting for more.
    if (this.#res.writableNeedDrain || this.#cancellation.isCancelled) this.#quiet?.refresh();
    else this.#send([KEEP_ALIVE]);
  }
}
