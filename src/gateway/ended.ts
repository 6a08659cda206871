/** How a request ends before its answer does. */
import { refusal, type Refusal } from '../core/denials.ts';
import type { RequestEnd } from '../core/requests.ts';

/** Why a request was cancelled. */
export class Ended {
  readonly end: Extract<RequestEnd, 'client_gone' | 'cut' | 'deadline'>;
  readonly why: Refusal;

  constructor(end: Ended['end'], why: Refusal) {
    this.end = end;
    this.why = why;
  }

  /** Reads the reason of a cancellation: policy gives a refusal, the gateway an Ended. */
  static from(reason: unknown): Ended {
    if (reason instanceof Ended) return reason;
    if (isRefusal(reason)) return new Ended('cut', reason);
    return new Ended('cut', refusal('unexpected'));
  }
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}
