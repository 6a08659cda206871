/** What both versions of HTTP are given. */

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
  headers: Record<string, string>;
  body: Buffer;
}
