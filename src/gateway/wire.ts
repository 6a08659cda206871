/** What both versions of HTTP are given. */
import type { HeaderList } from './answer-head.ts';

export interface UpstreamTimes {
  connectMs: number;
  /** Until the first byte of the answer. */
  firstByteMs: number;
  /** Between two reads of the answer. */
  idleMs: number;
}

/** A POST, ready to be sent. */
export interface WireRequest {
  path: string;
  headers: HeaderList;
  body: Buffer;
}
