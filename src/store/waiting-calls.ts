/** Who waits for the writer: each at the number of its call, until it is answered or its time is up. */
import { RefusedError, refusal } from '../core/denials.ts';
import type { Answer } from './group-commit.ts';

export interface WaitingCall {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  /** When its caller is told that it failed, by the clock that only goes forward. */
  dueAt: number;
  /** Called with a result that came after its caller had been told that it failed. */
  late: ((value: unknown) => void) | undefined;
}

interface Waiting extends WaitingCall {
  overdue: boolean;
}

const unavailable = (): RefusedError => new RefusedError(refusal('log_unavailable'));

export class WaitingCalls {
  /**
   * At the number of its call; 0 is nobody's. Numbers are used again: a Map of this many comings and goings would keep
   * what has gone from being collected (see Slots).
   */
  readonly #waiting: (Waiting | undefined)[] = [undefined];
  readonly #freeNumbers: number[] = [];
  readonly #onOverdue: () => void;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  /** @param onOverdue told when a caller had to be told that its call failed */
  constructor(onOverdue: () => void) {
    this.#onOverdue = onOverdue;
  }

  get count(): number {
    return this.#count;
  }

  /** @returns the number of the call */
  add({ resolve, reject, late, dueAt }: WaitingCall): number {
    const id = this.#freeNumbers.pop() ?? this.#waiting.length;
    this.#waiting[id] = { resolve, reject, late, dueAt, overdue: false };
    this.#count += 1;
    this.#wakeAt(dueAt);
    return id;
  }

  /** @returns false where nobody waits for this number */
  answer(answer: Answer): boolean {
    const waiting = this.#waiting[answer.id];
    if (!waiting) return false;
    this.#waiting[answer.id] = undefined;
    this.#freeNumbers.push(answer.id);
    this.#count -= 1;
    if (waiting.overdue) {
      if ('value' in answer) waiting.late?.(answer.value);
    } else if ('value' in answer) waiting.resolve(answer.value);
    else if ('refused' in answer) waiting.reject(new RefusedError(answer.refused));
    else waiting.reject(new Error(`The store failed: ${answer.failed}`));
    return true;
  }

  /** Nothing is answered any more. */
  giveUp(): void {
    clearTimeout(this.#timer);
    for (const waiting of this.#waiting)
      if (waiting && !waiting.overdue) waiting.reject(unavailable());
    // Nothing is answered after this, so no number is used again.
    this.#waiting.length = 0;
    this.#count = 0;
  }

  /** One timer for all: nearly every call is answered long before its deadline. */
  #wakeAt(dueAt: number): void {
    if (dueAt >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = dueAt;
    this.#timer = setTimeout(() => this.#tellOverdue(), Math.ceil(dueAt - performance.now()));
    this.#timer.unref();
  }

  #tellOverdue(): void {
    const now = performance.now();
    let next = Infinity;
    for (const waiting of this.#waiting) {
      if (!waiting || waiting.overdue) continue;
      if (waiting.dueAt > now) {
        next = Math.min(next, waiting.dueAt);
        continue;
      }
      waiting.overdue = true;
      this.#onOverdue();
      waiting.reject(unavailable());
    }
    this.#timerAt = Infinity;
    if (next !== Infinity) this.#wakeAt(next);
  }
}
