/**
 * Forwards the log to its receivers, each in a loop of its own: one that is slow, hangs or is gone holds up nobody, least of
 * all the log. Where a receiver stands is in the database, so that a crash or a stop loses nothing; it can get entries twice,
 * and tells them by their index.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { pauseBeforeNext, type ForwardAttempt, type Receiver } from '../core/forwarding.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import type { ForwardBatch } from '../store/forward-rows.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';
import type { Readers } from '../store/readers.ts';
import { ForwardState, type ShownForwarding } from './forward-state.ts';
import type { LogFeed } from './log-feed.ts';
import type { Metrics } from './metrics.ts';

interface Parts {
  store: Store;
  readers: Readers;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  feed: LogFeed;
}

/** Most of one batch: a receiver takes it whole or not at all. */
const BATCH = { entries: 500, bytes: 1_048_576 };

const ATTEMPT_WITHIN_MS = 10_000;

/** What comes together within this time goes out together. */
const GATHER_MS = 250;

/** Without a change of the log, it is looked at so often. */
const LOOK_EVERY_MS = 5_000;

/** Where receivers stand is written so often. */
const NOTE_EVERY_MS = 1_000;

/** While the log cannot be written, nothing goes out: how far it went could not be noted. */
const UNWRITABLE_MS = 1_000;

/** The broker's stop waits no longer for attempts that it has ended. */
const STOP_WITHIN_MS = 900;

const TIMEOUT: ForwardAttempt = { delivered: false, failure: 'timeout' };
const FAILED: ForwardAttempt = { delivered: false, failure: 'unreachable' };

export class LogForwarder {
  readonly #parts: Parts;
  readonly #forwarders: ReadonlyMap<string, Forwarder>;
  readonly #states: ForwardState[];
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param forwarders by the id of their receiver */
  constructor(
    parts: Parts,
    receivers: readonly Receiver[],
    forwarders: ReadonlyMap<string, Forwarder>,
  ) {
    // Each loop listens.
    setMaxListeners(0, this.#stopping.signal);
    this.#parts = parts;
    this.#forwarders = forwarders;
    const cursors = parts.readers.forwardCursors();
    const size = parts.readers.logSize();
    this.#states = receivers.map((receiver) => {
      const begins = receiver.from === 'start' ? 0 : size;
      return new ForwardState(receiver, cursors.get(receiver.id), begins);
    });
  }

  /** Whom the log is forwarded to, without addresses. */
  get receivers(): Receiver[] {
    return this.#states.map(({ receiver }) => receiver);
  }

  /** Where each receiver stands, in the order of the configuration. */
  shown(): ShownForwarding[] {
    const { readers, clock } = this.#parts;
    const size = readers.logSize();
    return this.#states.map((state) => state.shown(size, readers, clock()));
  }

  /** Notes where receivers that are new begin: after a crash they are not to begin later. To be called before the start. */
  async begin(): Promise<void> {
    await this.#note();
  }

  /** Begins to forward. */
  start(): void {
    if (this.#states.length === 0) return;
    this.#loops = this.#states.map((state) => this.#run(state));
    this.#timer = setInterval(() => void this.#note(), NOTE_EVERY_MS);
  }

  /** Ends attempts that are under way and notes where receivers stand. Resolves within seconds. */
  async close(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#timer);
    const ended = Promise.all(this.#loops);
    await Promise.race([ended, delay(STOP_WITHIN_MS, undefined, { ref: false })]);
    await this.#note();
    for (const forwarder of this.#forwarders.values()) forwarder.close();
  }

  async #run(state: ForwardState): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#step(state);
      } catch (error) {
        const { log } = this.#parts;
        log.error({ err: String(error), receiver: state.id }, 'the log could not be forwarded');
        await this.#pause(UNWRITABLE_MS);
      }
    }
  }

  async #step(state: ForwardState): Promise<void> {
    const { store, readers, feed, log } = this.#parts;
    const { signal } = this.#stopping;
    if (!store.isWritable) return this.#pause(UNWRITABLE_MS);
    const batch = readers.forwardBatch(state.next, state.isForIt, BATCH);
    if (batch.missing > 0) {
      state.lost(batch.missing);
      const { id: receiver } = state;
      log.error(
        { receiver, from: state.next, entries: batch.missing },
        'entries that retention took away were not forwarded before',
      );
    }
    if (batch.entries.length === 0) {
      state.passed(batch.next);
      if (batch.next >= readers.logSize()) {
        await feed.wait(LOOK_EVERY_MS, signal);
        await this.#pause(GATHER_MS);
      } else await this.#pause(0);
      return;
    }
    const begun = performance.now();
    await this.#deliver(state, batch);
    const leastMs = (batch.entries.length / state.mostPerSecond) * 1000;
    await this.#pause(Math.max(0, leastMs - (performance.now() - begun)));
  }

  /** The same entries until they have arrived: a receiver tells a batch by what is in it. */
  async #deliver(state: ForwardState, batch: ForwardBatch): Promise<void> {
    const { clock, log, metrics, store } = this.#parts;
    const { id: receiver } = state;
    while (!this.#stopping.signal.aborted) {
      const attempt = store.isWritable ? await this.#attempt(receiver, batch) : undefined;
      if (this.#stopping.signal.aborted && !attempt?.delivered) return;
      if (!attempt) {
        await this.#pause(UNWRITABLE_MS);
        continue;
      }
      metrics.forwardAttempt(receiver, attempt.delivered ? 'delivered' : 'failed');
      if (attempt.delivered) {
        if (state.failures > 0) log.info({ receiver }, 'the log is forwarded again');
        state.delivered(batch, clock());
        metrics.forwarded(receiver, batch.entries.length);
        return;
      }
      const { failure, status } = attempt;
      state.failed(attempt, clock());
      if (state.failures === 1)
        log.warn({ receiver, failure, status }, 'the log is not forwarded; it is tried again');
      await this.#pause(pauseBeforeNext(state.failures, attempt.retryAfterMs ?? 0, Math.random()));
    }
  }

  /** Held against the deadline whatever the forwarder makes of its signal. */
  async #attempt(receiver: string, { entries }: ForwardBatch): Promise<ForwardAttempt> {
    const forwarder = this.#forwarders.get(receiver);
    if (!forwarder) return FAILED;
    const { signal } = this.#stopping;
    const over = new AbortController();
    const end = (): void => over.abort();
    signal.addEventListener('abort', end);
    const deadline = setTimeout(end, ATTEMPT_WITHIN_MS);
    const aborted = new Promise<ForwardAttempt>((resolve) =>
      over.signal.addEventListener('abort', () => resolve(TIMEOUT)),
    );
    try {
      const attempt = forwarder.forward(entries, this.#parts.clock(), over.signal);
      return await Promise.race([aborted, attempt.catch(() => FAILED)]);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', end);
    }
  }

  async #note(): Promise<void> {
    const { store, clock, log } = this.#parts;
    const moved = this.#states.flatMap((state) => state.unnoted ?? []);
    if (moved.length === 0 || !store.isWritable) return;
    const cursors = moved.map(({ receiver, next }) => ({ receiver, next }));
    try {
      await store.write('recordForwarded', { at: clock(), cursors });
      for (const { noted } of moved) noted();
    } catch (error) {
      log.warn({ err: String(error) }, 'how far the log was forwarded could not be noted');
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    await delay(ms, undefined, { signal }).catch(() => undefined);
  }
}
