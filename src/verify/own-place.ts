/** What an entry says of its own place in the log. */
import { fromUtf8, toUtf8 } from '../core/tlog/bytes.ts';
import { tampered } from './finding.ts';

/** Whatever stands there, unchecked. */
export interface OwnPlace {
  log: unknown;
  index: unknown;
}

const COMMA = 0x2c;
const BRACE = 0x7d;

/** What an entry's JSON says of its place in the log. Undefined when it is not a JSON object. */
export function ownPlace(line: Uint8Array): OwnPlace | undefined {
  const value = parse(line);
  if (typeof value !== 'object' || value === null) return undefined;
  const { log, index } = value as Partial<OwnPlace>;
  return { log, index };
}

/** Whether this is a whole JSON text. A part of an object never is. */
export function isJson(line: Uint8Array): boolean {
  return parse(line) !== undefined;
}

/**
 * Holds entries against their place. Entries begin with it, so that of a million entries none has to be parsed;
 * one that begins otherwise is parsed.
 *
 * @returns throws a Finding when a signed entry says that it is another: the log itself put it where it does not belong
 */
export function placeCheck(origin: string): (line: Uint8Array, index: number) => void {
  const head = toUtf8(`{"v":1,"log":${JSON.stringify(origin)},"index":`);
  return (line, index) => {
    if (!beginsWith(line, head, index)) assertOwnPlace(line, index, origin);
  };
}

/** The same for one entry, parsed. @throws Finding */
export function assertOwnPlace(line: Uint8Array, index: number, origin: string): void {
  const place = ownPlace(line);
  if (place?.index === index && place.log === origin) return;
  throw tampered(
    `Entry ${index} is signed, but says of itself that it is entry ${JSON.stringify(place?.index)} of ${JSON.stringify(place?.log)}: the log was kept wrongly.`,
    index,
  );
}

function beginsWith(line: Uint8Array, head: Uint8Array, index: number): boolean {
  for (let at = 0; at < head.length; at += 1) if (line[at] !== head[at]) return false;
  const digits = String(index);
  for (let at = 0; at < digits.length; at += 1) {
    if (line[head.length + at] !== digits.charCodeAt(at)) return false;
  }
  return line[head.length + digits.length] === COMMA && line[line.length - 1] === BRACE;
}

function parse(line: Uint8Array): unknown {
  const text = fromUtf8(line);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
