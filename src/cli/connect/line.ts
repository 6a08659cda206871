/**
 * The line in which requests wait: for a place among those that the grant allows at once, and for a limit that the
 * broker has refused one of them for. First come, first served. The broker has the last word: the line decides
 * when it is asked, and never answers in its place.
 */
import type { LimitRefusal, Relief } from './limit-refusal.ts';
import { LocalRefusedError, localRefusal } from './local-refusal.ts';

/** One request's way through the line. */
export interface Turn {
  /**
   * The broker refused it for a limit. Resolves when it is its turn again: false where it cannot wait any
   * longer, or there is no room for it, and is to be told.
   */
  refused: (limit: LimitRefusal) => Promise<boolean>;
  /** The broker refused it for no limit. */
  admitted: () => void;
  /** It is over. Does no harm twice. */
  end: () => void;
}

/** Of whatever does not fit, nothing waits: it goes to the broker at once, and gets the broker's answer. */
export const MOST_WAITING = 1_000;
export const MOST_WAITING_BYTES = 256 * 1024 * 1024;

/** A refusal for a limit is quick: what has none after this is taken for admitted. */
const REFUSED_WITHIN_MS = 250;

/** After a refusal one request asks alone; each that is admitted lets so many more ask at a time. */
const MORE_WITH_EACH = 0.25;

/** Limits are per minute: a refusal that is older says nothing any more. */
const REFUSAL_COUNTS_MS = 60_000;

interface Call {
  /** In the order of arrival. */
  number: number;
  bytes: number;
  /** When it waits no longer, by the monotonic clock. */
  deadline: number;
  signal: AbortSignal;
  state: 'waiting' | 'asking' | 'admitted' | 'refused' | 'ended';
  patience: NodeJS.Timeout | undefined;
}

interface Waiting {
  call: Call;
  go: () => void;
  fail: (error: unknown) => void;
}

interface LineEvents {
  /** A request was refused for a limit, and waits for it. */
  onWait: (limit: LimitRefusal) => void;
  /** Another number of requests waits. */
  onChange: () => void;
}

export class Line {
  readonly #waitMs: number;
  readonly #events: LineEvents;
  /** In the order of arrival. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #arrived = 0;
  #places = Infinity;
  #running = 0;
  /** How many of those that run may still be refused, and how many may be that at a time. */
  #asking = 0;
  #mostAsking = Infinity;
  #refusedAt = -Infinity;
  readonly #closedUntil: Record<Relief, number> = { time: -Infinity, request: -Infinity };
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @param waitMs how long a request may wait in all; 0: not at all */
  constructor(waitMs: number, events: LineEvents) {
    this.#waitMs = waitMs;
    this.#events = events;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes note of how many requests the grant allows at once; null: no limit. */
  allow(concurrent: number | null): void {
    this.#places = concurrent ?? Infinity;
    this.#next();
  }

  /**
   * Resolves when it is a request's turn.
   *
   * @param bytes what it holds in memory while it waits
   * @param signal the client has gone: it leaves the line at once
   * @throws the signal's reason; LocalRefusedError when the line ends
   */
  async enter(bytes: number, signal: AbortSignal): Promise<Turn> {
    signal.throwIfAborted();
    this.#arrived += 1;
    const call: Call = {
      number: this.#arrived,
      bytes,
      deadline: performance.now() + this.#waitMs,
      signal,
      state: 'waiting',
      patience: undefined,
    };
    const isItsTurn = this.#waiting.length === 0 && this.#isOpen();
    if (isItsTurn || !this.#mayWait(call, this.#opensAt)) this.#send(call);
    else await this.#wait(call);
    return {
      refused: (limit) => this.#refused(call, limit),
      admitted: () => this.#admitted(call),
      end: () => this.#end(call),
    };
  }

  /** Nobody waits any more: those who do are told that this is the end. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const { fail } of this.#waiting.slice())
      fail(new LocalRefusedError(localRefusal('local_stopping')));
  }

  get #opensAt(): number {
    return Math.max(this.#closedUntil.time, this.#closedUntil.request);
  }

  #isOpen(): boolean {
    const now = performance.now();
    if (now - this.#refusedAt > REFUSAL_COUNTS_MS) this.#mostAsking = Infinity;
    return (
      now >= this.#opensAt &&
      this.#running < this.#places &&
      this.#asking < Math.floor(this.#mostAsking)
    );
  }

  #mayWait({ deadline, bytes }: Call, until: number): boolean {
    return (
      !this.#isStopped &&
      Math.max(until, performance.now()) < deadline &&
      this.#waiting.length < MOST_WAITING &&
      this.#waitingBytes + bytes <= MOST_WAITING_BYTES
    );
  }

  #wait(call: Call): Promise<void> {
    const { signal, number, bytes } = call;
    call.state = 'waiting';
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onGone);
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        this.#waitingBytes -= bytes;
        this.#events.onChange();
      };
      const waiting: Waiting = {
        call,
        go: () => {
          leave();
          this.#send(call);
          resolve();
        },
        fail: (error) => {
          leave();
          call.state = 'ended';
          reject(error);
        },
      };
      const onGone = (): void => waiting.fail(signal.reason);
      const timer = setTimeout(waiting.go, call.deadline - performance.now());
      signal.addEventListener('abort', onGone, { once: true });
      const before = this.#waiting.findLastIndex((other) => other.call.number < number);
      this.#waiting.splice(before + 1, 0, waiting);
      this.#waitingBytes += bytes;
      this.#events.onChange();
      this.#next();
    });
  }

  #next(): void {
    while (this.#waiting[0] && this.#isOpen()) this.#waiting[0].go();
    clearTimeout(this.#timer);
    const left = this.#opensAt - performance.now();
    if (this.#waiting.length > 0 && left > 0)
      this.#timer = setTimeout(() => this.#next(), Math.ceil(left));
  }

  #send(call: Call): void {
    call.state = 'asking';
    call.patience = setTimeout(() => this.#admitted(call), REFUSED_WITHIN_MS).unref();
    this.#asking += 1;
    this.#running += 1;
  }

  #admitted(call: Call): void {
    if (call.state !== 'asking') return;
    this.#asked(call, 'admitted');
    this.#mostAsking += MORE_WITH_EACH;
    this.#next();
  }

  #asked(call: Call, state: 'admitted' | 'refused' | 'ended'): void {
    if (call.state === 'asking') this.#asking -= 1;
    clearTimeout(call.patience);
    call.state = state;
  }

  async #refused(call: Call, limit: LimitRefusal): Promise<boolean> {
    const { relief, afterMs } = limit;
    const now = performance.now();
    const until = now + afterMs;
    this.#asked(call, 'refused');
    this.#refusedAt = now;
    this.#mostAsking = 1;
    this.#closedUntil[relief] = Math.max(this.#closedUntil[relief], until);
    call.signal.throwIfAborted();
    if (this.#mayWait(call, until)) {
      this.#running -= 1;
      this.#events.onWait(limit);
      await this.#wait(call);
      return true;
    }
    this.#next();
    return false;
  }

  #end(call: Call): void {
    const { state } = call;
    if (state === 'waiting' || state === 'ended') return;
    this.#asked(call, 'ended');
    this.#running -= 1;
    if (state === 'admitted') this.#closedUntil.request = -Infinity;
    this.#next();
  }
}
