/**
 * The keys that a log has had. When a new key takes over, the old one says so in a note that both sign: whoever trusts
 * either knows the other, and up to which size it signed for.
 */
import { NoteError, openNote, type NoteVerifier } from '../audit/note.ts';
import {
  CheckpointError,
  formatCheckpoint,
  parseCheckpoint,
  type Checkpoint,
} from './checkpoint.ts';

/** First line of the note that a key is followed by another. No checkpoint has four lines more than it has. */
const STEP = 'sallyport/log-key-step/v1';

export const KEY_HISTORY_FORMAT = 'sallyport-log-keys/1';

/** More keys than this no log has had. */
const MOST_STEPS = 1_000;
const MOST_KEY_LENGTH = 1_000;
const MOST_STEP_LENGTH = 10_000;

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
  /** Root of the log at that size, which both keys signed. */
  lastRoot?: Uint8Array;
}

/** Reads a verifier key as text. Throws RangeError for what is none. */
export type ParseKey = (verifierKey: string) => NoteVerifier;

/** Thrown for a history that is none, or that no trusted key vouches for. The message says why. */
export class KeyHistoryError extends Error {
  override readonly name = 'KeyHistoryError';
}

/** What is signed when a new key takes over. */
export function formatKeyStep({ last, oldKey, newKey, at }: KeyStep): string {
  return `${STEP}\nold ${oldKey}\nnew ${newKey}\ntime ${new Date(at).toISOString()}\n${formatCheckpoint(last)}`;
}

/** Checks a step's form and both its signatures. @throws KeyHistoryError */
function openKeyStep(parseKey: ParseKey, note: string): KeyStep {
  const [, old, next] = /^.*\nold (\S+)\nnew (\S+)\n/.exec(note) ?? [];
  if (old === undefined || next === undefined) throw noStep();
  try {
    const keys = [old, next].map(parseKey);
    // Each by itself: two keys can have one name and one id, and one signature does not count for both.
    if (!keys.every((key) => isSignedBy(note, key)))
      throw new KeyHistoryError('A change of the key is signed by one of the two keys only.');
    const { text } = openNote(note, keys);
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

function isSignedBy(note: string, key: NoteVerifier): boolean {
  try {
    return openNote(note, [key]).verified.length > 0;
  } catch (error) {
    if (error instanceof NoteError && error.problem === 'unknown_key') return false;
    throw error;
  }
}

const noStep = (): KeyHistoryError =>
  new KeyHistoryError('A change of the key has not the form of one.');

/**
 * Reads a history and checks it from end to end: each key was followed by the next with the signatures of both, and the
 * log grew between. Which of the keys anybody trusts is not looked at.
 *
 * @throws KeyHistoryError
 */
export function readKeyHistory(parseKey: ParseKey, document: string): KeyRange[] {
  const { first, steps } = parseDocument(document);
  try {
    parseKey(first);
  } catch (error) {
    throw new KeyHistoryError(`The first key of the history is none. ${(error as Error).message}`);
  }
  const ranges: KeyRange[] = [{ verifierKey: first, after: -1, upTo: Infinity }];
  for (const note of steps) {
    const { last, oldKey, newKey } = openKeyStep(parseKey, note);
    const before = ranges.at(-1) as KeyRange;
    if (oldKey !== before.verifierKey || last.size <= before.after)
      throw new KeyHistoryError('The history of the keys has a gap, or is out of order.');
    if (ranges.some(({ verifierKey }) => verifierKey === newKey))
      throw new KeyHistoryError('The history of the keys has one key twice.');
    before.upTo = last.size;
    before.lastRoot = last.root;
    ranges.push({ verifierKey: newKey, after: last.size, upTo: Infinity });
  }
  return ranges;
}

function parseDocument(document: string): { first: string; steps: string[] } {
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch {
    throw new KeyHistoryError('The history of the keys is not JSON.');
  }
  const { format, first, steps, ...more } = (value ?? {}) as Record<string, unknown>;
  if (
    format === KEY_HISTORY_FORMAT &&
    isText(first, MOST_KEY_LENGTH) &&
    Array.isArray(steps) &&
    steps.length <= MOST_STEPS &&
    steps.every((step) => isText(step, MOST_STEP_LENGTH)) &&
    Object.keys(more).length === 0
  )
    return { first, steps };
  throw new KeyHistoryError('The history of the keys has not the form of one.');
}

const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length <= most;
