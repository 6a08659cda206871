/** Entries as plain JSON, for what shows or counts them: nothing is decided on it. */

export interface RawEntry {
  v: number;
  log: string;
  index: number;
  id: string;
  kind: string;
  /** RFC 3339. */
  at: string;
  committedAt: string;
  host: string;
  actor: { person?: string; lab?: string; roles?: string[]; system?: string };
  ref?: string;
  lab?: string;
  person?: string;
  grant?: string;
  grantVersion?: number;
  token?: string;
  purpose?: string;
  run?: string;
  endpoint?: string;
  model?: string;
  operation?: string;
  decision?: string;
  reason?: string;
  orders?: string[];
  data?: Record<string, unknown>;
}

const decoder = new TextDecoder();

/** @throws SyntaxError where the bytes are no JSON */
export function readRawEntry(bytes: Uint8Array): RawEntry {
  const text = Buffer.isBuffer(bytes) ? bytes.toString('utf8') : decoder.decode(bytes);
  return JSON.parse(text) as RawEntry;
}

/** A member of an entry's data that is an object; without members, where there is none. */
export function objectIn(data: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = data[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
