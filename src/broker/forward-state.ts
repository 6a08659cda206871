/** Where one receiver of the log stands. */
import type { ForwardAttempt, ForwardFailure, Receiver, ReceiverType } from '../core/forwarding.ts';
import { committedAtOf } from '../core/audit/entry-terms.ts';
import type { ForwardBatch } from '../store/forward-rows.ts';
import type { Readers } from '../store/readers.ts';

/** What operators see of a receiver. Times are epoch milliseconds. */
export interface ShownForwarding {
  id: string;
  type: ReceiverType;
  kinds: readonly string[] | undefined;
  /** `current`: it has all; `behind`: it is being given the rest; `failing`: the last attempt failed. */
  state: 'current' | 'behind' | 'failing';
  /** The first entry that it may not have. */
  next: number;
  /** Entries from there on to the end of the log, those of other kinds included. */
  lag: number;
  /** How long ago the log took the first of them. */
  lagMs: number;
  /** Entries that retention took away before they had arrived, since the start of the broker. */
  lost: number;
  deliveredAt: number | null;
  failure: {
    code: ForwardFailure;
    status: number | null;
    at: number;
    since: number;
    attempts: number;
  } | null;
}

export class ForwardState {
  readonly receiver: Receiver;
  readonly isForIt: (kind: string) => boolean;
  #next: number;
  #noted: number | undefined;
  #lost = 0;
  #deliveredAt: number | null = null;
  #failure: ShownForwarding['failure'] = null;

  /**
   * @param known where it stood; undefined: it is new
   * @param begins where it begins when it is new
   */
  constructor(receiver: Receiver, known: number | undefined, begins: number) {
    this.receiver = receiver;
    this.#noted = known;
    this.#next = known ?? begins;
    this.isForIt = kindFilter(receiver.kinds);
  }

  get id(): string {
    return this.receiver.id;
  }

  get mostPerSecond(): number {
    return this.receiver.mostPerSecond;
  }

  get next(): number {
    return this.#next;
  }

  /** Failures since it last took something. */
  get failures(): number {
    return this.#failure?.attempts ?? 0;
  }

  /** What is to be written of it, and how to say that it was; undefined: nothing new. */
  get unnoted(): { receiver: string; next: number; noted: () => void } | undefined {
    const next = this.#next;
    if (next === this.#noted) return undefined;
    return { receiver: this.id, next, noted: () => (this.#noted = next) };
  }

  lost(entries: number): void {
    this.#lost += entries;
  }

  /** Nothing up to there is for it. */
  passed(next: number): void {
    this.#next = next;
  }

  delivered({ next }: ForwardBatch, at: number): void {
    this.#next = next;
    this.#deliveredAt = at;
    this.#failure = null;
  }

  failed(attempt: Extract<ForwardAttempt, { delivered: false }>, at: number): void {
    const { failure: code, status = null } = attempt;
    const since = this.#failure?.since ?? at;
    this.#failure = { code, status, at, since, attempts: this.failures + 1 };
  }

  shown(size: number, readers: Readers, now: number): ShownForwarding {
    const { id, type, kinds } = this.receiver;
    const next = this.#next;
    const lag = Math.max(0, size - next);
    const waits = lag === 0 ? undefined : readers.firstEntryFrom(next);
    const took = waits && committedAtOf(waits.bytes.toString('utf8'));
    return {
      id,
      type,
      kinds,
      state: this.#failure ? 'failing' : lag === 0 ? 'current' : 'behind',
      next,
      lag,
      lagMs: took === undefined ? 0 : Math.max(0, now - took),
      lost: this.#lost,
      deliveredAt: this.#deliveredAt,
      failure: this.#failure,
    };
  }
}

function kindFilter(kinds: readonly string[] | undefined): (kind: string) => boolean {
  if (!kinds) return () => true;
  const exact = new Set(kinds.filter((kind) => !kind.endsWith('.*')));
  const families = kinds.filter((kind) => kind.endsWith('.*')).map((kind) => kind.slice(0, -1));
  return (kind) => exact.has(kind) || families.some((family) => kind.startsWith(family));
}
