/**
 * The keys that a log has had. When a new key takes over, the old one says so in a note that both sign: whoever trusts
 * either knows the other, and up to which size it signed for.
 */
import { z } from 'zod';
import { openSigned, type LogKey } from '../tlog/checkpoint.ts';
import {
  CheckpointError,
  formatCheckpoint,
  parseCheckpoint,
  type Checkpoint,
} from './checkpoint.ts';
import { parseVerifierKey } from './note-keys.ts';
import { NoteError, describeKey, openNote, type NoteVerifier } from './note.ts';

/** First line of the note that a key is followed by another. No checkpoint has four lines more than it has. */
const STEP = 'sallyport/log-key-step/v1';

const FORMAT = 'sallyport-log-keys/1';

/** More keys than this no log has had. */
const MOST_STEPS = 1_000;

/** One key follows another. */
export interface KeyStep {
  /** The last checkpoint that the old key signed alone. */
  last: Checkpoint;
  oldKey: string;
  newKey: string;
  /** Epoch milliseconds. */
  at: number;
}

/** A key, and the sizes of the checkpoints that count only with its signature. */
export interface KeyRange {
  verifierKey: string;
  /** It signs for checkpoints larger than this; -1 for the first key. */
  after: number;
  /** And for none larger than this; Infinity for the newest key. */
  upTo: number;
}

/** Thrown for a history that is none, or that no trusted key vouches for. The message says why. */
export class KeyHistoryError extends Error {
  override readonly name = 'KeyHistoryError';
}

/** What is signed when a new key takes over. */
export function formatKeyStep({ last, oldKey, newKey, at }: KeyStep): string {
  return `${STEP}\nold ${oldKey}\nnew ${newKey}\ntime ${new Date(at).toISOString()}\n${formatCheckpoint(last)}`;
}

/** Checks a step's form and both its signatures. @throws KeyHistoryError */
function openKeyStep(note: string): KeyStep {
  const [, old, next] = /^.*\nold (\S+)\nnew (\S+)\n/.exec(note) ?? [];
  if (old === undefined || next === undefined) throw noStep();
  try {
    const keys = [old, next].map(parseVerifierKey);
    const { text, verified } = openNote(note, keys);
    if (keys.some((key) => !verified.some(({ keyId }) => keyId === key.keyId)))
      throw new KeyHistoryError('A change of the key is signed by one of the two keys only.');
    const [head = '', , , time = '', ...body] = text.split('\n');
    const at = Date.parse(time.slice('time '.length));
    const last = parseCheckpoint(body.join('\n'));
    const step = { last, oldKey: old, newKey: next, at };
    if (head !== STEP || Number.isNaN(at) || formatKeyStep(step) !== text) throw noStep();
    if (keys.some(({ name }) => name !== last.origin))
      throw new KeyHistoryError('A change of the key is of the key of another log.');
    return step;
  } catch (error) {
    if (
      error instanceof NoteError ||
      error instanceof CheckpointError ||
      error instanceof RangeError
    )
      throw new KeyHistoryError(`A change of the key is not to be trusted. ${error.message}`);
    throw error;
  }
}

const noStep = (): KeyHistoryError =>
  new KeyHistoryError('A change of the key has not the form of one.');

const historySchema = z.strictObject({
  format: z.literal(FORMAT),
  first: z.string().max(1_000),
  steps: z.array(z.string().max(10_000)).max(MOST_STEPS),
});

/** The history of a log's keys as a document. @param steps signed, oldest first */
export function formatKeyHistory(first: string, steps: readonly string[]): string {
  return `${JSON.stringify({ format: FORMAT, first, steps }, null, 2)}\n`;
}

/**
 * Reads a history and checks it from end to end: each key was followed by the next with the signatures of both, and the
 * log grew between. Which of the keys anybody trusts is not looked at: see {@link keysOf}.
 *
 * @throws KeyHistoryError
 */
export function parseKeyHistory(document: string): KeyRange[] {
  const { first, steps } = parseDocument(document);
  const ranges: KeyRange[] = [{ verifierKey: first, after: -1, upTo: Infinity }];
  for (const note of steps) {
    const { last, oldKey, newKey } = openKeyStep(note);
    const before = ranges.at(-1) as KeyRange;
    if (oldKey !== before.verifierKey || last.size <= before.after)
      throw new KeyHistoryError('The history of the keys has a gap, or is out of order.');
    if (ranges.some(({ verifierKey }) => verifierKey === newKey))
      throw new KeyHistoryError('The history of the keys has one key twice.');
    before.upTo = last.size;
    ranges.push({ verifierKey: newKey, after: last.size, upTo: Infinity });
  }
  return ranges;
}

function parseDocument(document: string): z.infer<typeof historySchema> {
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch {
    throw new KeyHistoryError('The history of the keys is not JSON.');
  }
  const parsed = historySchema.safeParse(value);
  if (!parsed.success)
    throw new KeyHistoryError('The history of the keys has not the form of one.');
  try {
    parseVerifierKey(parsed.data.first);
  } catch (error) {
    throw new KeyHistoryError(`The first key of the history is none. ${(error as Error).message}`);
  }
  return parsed.data;
}

/** Keys without a history: each counts for every size. */
export function withoutHistory(verifierKeys: readonly string[]): KeyRange[] {
  return verifierKeys.map((verifierKey) => ({ verifierKey, after: -1, upTo: Infinity }));
}

/**
 * The keys of a log whose history somebody got from the log itself, by the keys that they trust: every key of the
 * history, if one of them is theirs.
 *
 * @param trusted verifier keys, got by another way
 * @throws KeyHistoryError when none of them is in it
 */
export function keysOf(history: readonly KeyRange[], trusted: readonly string[]): KeyRange[] {
  if (history.some(({ verifierKey }) => trusted.includes(verifierKey))) return [...history];
  const theirs = trusted.map(nameOf).join(' and ');
  const its = history.map(({ verifierKey }) => nameOf(verifierKey)).join(', ');
  throw new KeyHistoryError(
    `The key that you gave, ${theirs}, was never a key of this log. It has had ${its}.`,
  );
}

/** Keys with the sizes that they count for, as checks take them. @throws RangeError where one is none */
export function logKeysOf(ranges: readonly KeyRange[]): LogKey[] {
  return ranges.map(({ verifierKey, after, upTo }) => ({
    ...parseVerifierKey(verifierKey),
    after,
    upTo,
  }));
}

/**
 * Opens a signed checkpoint with the keys that a log has had. A key counts for the sizes of its time alone: with a key
 * that was replaced, nobody can sign for what came after.
 *
 * @returns the checkpoint, the key that counts for it, and the note with the signatures of these keys alone
 * @throws NoteError, CheckpointError or RangeError as `openCheckpoint` does
 */
export function openCheckpointOf(
  note: string | Uint8Array,
  keys: readonly KeyRange[],
): { checkpoint: Checkpoint; key: NoteVerifier; note: string } {
  const { checkpoint, ...opened } = openSigned(note, logKeysOf(keys));
  return { checkpoint: { ...checkpoint, root: Buffer.from(checkpoint.root) }, ...opened };
}

function nameOf(verifierKey: string): string {
  try {
    return describeKey(parseVerifierKey(verifierKey));
  } catch {
    return '(no verifier key)';
  }
}
