/** Says what was done to the entries where one of them does not have its leaf hash. */
import { leafHash } from '../core/audit/merkle.ts';
import { tampered, type Finding } from './finding.ts';

/** A line that is not the entry of its place. */
export interface Misfit {
  index: number;
  line: Buffer;
}

/** What an entry says of its own place; whatever stands there, unchecked. */
export interface OwnPlace {
  log: unknown;
  index: unknown;
}

/**
 * Tells a changed entry from entries that were removed, repeated or exchanged.
 *
 * @param next the line after the misfit; undefined if there is none
 * @param hashes the leaf hashes by index, which are known to be right
 */
export async function explainMismatch(
  { index, line }: Misfit,
  next: Buffer | undefined,
  size: number,
  hashes: (index: number) => Promise<Buffer>,
): Promise<Finding> {
  const stands = await signedIndex(line, size, hashes);
  if (stands === undefined) return tampered(`Entry ${index} was changed.`, index);
  const follows = next === undefined ? undefined : await signedIndex(next, size, hashes);
  if (stands > index && (next === undefined || follows === stands + 1)) {
    const removed =
      stands === index + 1 ? `Entry ${index} was` : `Entries ${index} to ${stands - 1} were`;
    return tampered(`${removed} removed: entry ${stands} stands there instead.`, index);
  }
  if (stands < index && follows === index) {
    return tampered(`Entry ${stands} stands a second time before entry ${index}.`, index);
  }
  return tampered(
    `Entry ${stands} stands in the place of entry ${index}: entries were put in another order or replaced.`,
    index,
  );
}

/** What an entry's JSON says of its place in the log. Undefined when it is not a JSON object. */
export function ownPlace(line: Buffer): OwnPlace | undefined {
  const value = parse(line);
  if (typeof value !== 'object' || value === null) return undefined;
  const { log, index } = value as Partial<OwnPlace>;
  return { log, index };
}

/** Whether this is a whole JSON text. A part of an object never is. */
export function isJson(line: Buffer): boolean {
  return parse(line) !== undefined;
}

/** Index of the entry that this line is, byte for byte; undefined if it is none that was signed. */
async function signedIndex(
  line: Buffer,
  size: number,
  hashes: (index: number) => Promise<Buffer>,
): Promise<number | undefined> {
  const index = ownPlace(line)?.index;
  if (typeof index !== 'number' || !Number.isSafeInteger(index)) return undefined;
  if (index < 0 || index >= size) return undefined;
  return leafHash(line).equals(await hashes(index)) ? index : undefined;
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
}
