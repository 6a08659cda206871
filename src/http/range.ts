/** Parts of an answer (RFC 9110, section 14): those from a byte on, which is what a client asks for that was cut off. */
import type { IncomingMessage } from 'node:http';

export interface AskedRange {
  /** First byte. */
  from: number;
  /** The entity tag, without its quotes, that a client has the beginning of; undefined: it does not say. */
  of: string | undefined;
}

/** Undefined where no range is asked for, or one of another form, which section 14.2 allows to ignore. */
export function rangeOf({ headers }: IncomingMessage): AskedRange | undefined {
  const [, first] = /^bytes=(\d{1,15})-$/.exec(headers['range']?.trim() ?? '') ?? [];
  if (first === undefined) return undefined;
  const condition = headers['if-range'];
  // What is not a strong tag, such as a date, matches nothing here: the whole is sent then.
  const of = condition === undefined ? undefined : (/^"(.*)"$/.exec(String(condition))?.[1] ?? '');
  return { from: Number(first), of };
}
