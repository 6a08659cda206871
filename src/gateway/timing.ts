/**
 * Where the time of a request goes: to its arrival, to us, or to the upstream. Each mark is set once; what
 * lies between two of them belongs to one of the three, so nothing is left out.
 *
 * It begins when the request's head has been parsed. What lay in the socket before, while this process was
 * busy, no request can see of itself: the event loop's lag shows it (docs/operations.md).
 */
export interface Split {
  /** Until the request's body was there. */
  receiveMs: number;
  /** Checks, admission and its commit, the outcome's commit, and every wait for our own thread. */
  gatewayMs: number;
  /** From asking the upstream until its last byte, or until now. */
  upstreamMs: number;
  /** From asking the upstream until its first byte. */
  firstByteMs: number | undefined;
}

export class Timing {
  readonly #begunAt: number;
  #receivedAt: number | undefined;
  #upstreamBegunAt: number | undefined;
  #firstByteAt: number | undefined;
  #upstreamEndedAt: number | undefined;

  /** @param now milliseconds of a clock that only goes forward; so everywhere here */
  constructor(now: number = performance.now()) {
    this.#begunAt = now;
  }

  /** The body is there. */
  received(now: number = performance.now()): void {
    this.#receivedAt ??= now;
  }

  upstreamBegun(now: number = performance.now()): void {
    this.#upstreamBegunAt ??= now;
  }

  upstreamFirstByte(now: number = performance.now()): void {
    this.#firstByteAt ??= now;
  }

  /** The last byte of the upstream is there, or none is waited for any more. */
  upstreamEnded(now: number = performance.now()): void {
    if (this.#upstreamBegunAt !== undefined) this.#upstreamEndedAt ??= now;
  }

  /** Until now. Of an answer under way, what follows its first byte counts as ours until the upstream has ended. */
  split(now: number = performance.now()): Split {
    const receivedAt = this.#receivedAt ?? now;
    const begunAt = this.#upstreamBegunAt;
    const upstreamMs =
      begunAt === undefined ? 0 : (this.#upstreamEndedAt ?? this.#firstByteAt ?? now) - begunAt;
    return {
      receiveMs: receivedAt - this.#begunAt,
      gatewayMs: now - receivedAt - upstreamMs,
      upstreamMs,
      firstByteMs:
        begunAt === undefined || this.#firstByteAt === undefined
          ? undefined
          : this.#firstByteAt - begunAt,
    };
  }

  /** The value of a `server-timing` header (W3C Server Timing), for the moment in which the answer's head goes out. */
  header(now: number = performance.now()): string {
    const { receiveMs, gatewayMs, upstreamMs } = this.split(now);
    return `receive;dur=${tenths(receiveMs)}, gateway;dur=${tenths(gatewayMs)}, upstream;dur=${tenths(upstreamMs)}`;
  }
}

/** Milliseconds with one decimal: toFixed costs five times as much. */
export const tenths = (ms: number): number => Math.round(ms * 10) / 10;
