/** Whether a body can be read and looked through at all, and passed on as it is. */
import { MalformedBody, plainName, type JsonObject } from './inspection.ts';

/** Objects, lists and keys in a body: they are read and looked at one by one, while everybody else waits. */
const MOST_PARTS = 50_000;

/** Keys of one object: those of very large ones take long to list and to copy. */
const MOST_KEYS = 10_000;

/** Characters that the smallest of them takes up. */
const LEAST_PART = 2;

const QUOTE = 0x22;
const COLON = 0x3a;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;

/** Deeper than any request that means something; shallow enough for what reads or writes it by recursion. */
const DEEPEST = 128;

/**
 * Whether a JSON text has more parts than are looked at. Asked before it is parsed, which alone would take long.
 */
export function hasTooManyParts(json: string): boolean {
  if (json.length <= MOST_PARTS * LEAST_PART) return false;
  let parts = 0;
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) at = endOfText(json, at);
    else if (code === BRACE || code === BRACKET || code === COLON) parts += 1;
    if (parts > MOST_PARTS) return true;
  }
  return false;
}

/** Where a text's closing quote is: one behind an even number of backslashes. */
function endOfText(json: string, start: number): number {
  let end = start;
  for (;;) {
    end = json.indexOf('"', end + 1);
    if (end === -1) return json.length;
    let escapes = end;
    while (json.charCodeAt(escapes - 1) === BACKSLASH) escapes -= 1;
    if ((end - escapes) % 2 === 0) return end;
  }
}

/**
 * Holds a body against what can be read and passed on. Works without recursion itself.
 *
 * A number must survive being read and written again: what goes upstream is our own writing of what was
 * checked, in which 9007199254740993 would be another number, and 1e400 none.
 *
 * @throws MalformedBody for one that is nested too deeply, has an object of too many keys, or such a number
 */
export function mustBeSound(body: JsonObject): void {
  let level: object[] = [body];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEEPEST) throw new MalformedBody('body', 'The body is nested too deeply.');
    const next: object[] = [];
    for (const part of level) {
      for (const value of valuesOf(part)) {
        if (typeof value === 'object' && value !== null) next.push(value);
        else if (isInexact(value)) refuseInexact(body);
      }
    }
    level = next;
  }
}

function valuesOf(part: object): unknown[] {
  if (Array.isArray(part)) return part;
  const values = Object.values(part);
  if (values.length > MOST_KEYS)
    throw new MalformedBody('body', 'The body has an object with too many keys.');
  return values;
}

/** Beyond 2^53 not every whole number exists, and which one was written cannot be told any more. */
function isInexact(value: unknown): boolean {
  return (
    typeof value === 'number' &&
    (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
  );
}

/** Looks for the number once more, now with names. */
function refuseInexact(body: JsonObject): never {
  let level: [at: string, part: object][] = [['', body]];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const [at, part] of level) {
      const keys = Array.isArray(part) ? undefined : Object.keys(part);
      valuesOf(part).forEach((value, i) => {
        const isPart = typeof value === 'object' && value !== null;
        if (!isPart && !isInexact(value)) return;
        const key = keys ? plainName(keys[i] ?? '') : i;
        const path = at === '' ? String(key) : `${at}.${key}`;
        if (!isPart)
          throw new MalformedBody(
            path,
            `"${path}" is a number that cannot be passed on as it is. Whole numbers must be between ${Number.MIN_SAFE_INTEGER} and ${Number.MAX_SAFE_INTEGER}; a larger one can only be sent as a text.`,
          );
        next.push([path, value]);
      });
    }
    level = next;
  }
  throw new MalformedBody('body', 'The body has a number that cannot be passed on as it is.');
}
