/** The keys that count for a log: those that the caller trusts, and what the history of the log's keys makes of them. */
import {
  NoteError,
  describeKey,
  parseNote,
  type NoteVerifier,
  type ParsedNote,
} from '../core/audit/note.ts';
import { equalBytes, fromUtf8, toUtf8 } from '../core/tlog/bytes.ts';
import type { LogKey } from '../core/tlog/checkpoint.ts';
import {
  KeyHistoryError,
  readKeyHistory,
  type KeyRange,
  type ParseKey,
} from '../core/tlog/key-history.ts';
import { Finding, tampered } from './finding.ts';

/** Histories of logs' keys, as documents, not checked. */
export interface Histories {
  /** What comes with the evidence, or the log offers. */
  offered?: string | undefined;
  /** What that is, as the sentence about it begins; "The log" unless said otherwise. */
  where?: string;
  /** What the caller has, of any logs. */
  held?: readonly string[] | undefined;
  /** What was kept of the log when it was seen before. */
  remembered?: RememberedHistory | undefined;
}

export interface RememberedHistory {
  document: string;
  /** The file. */
  where: string;
}

/** Keys as text, each once, taken apart. @throws Finding `could_not_run` for one that is none, and for none at all */
export function parseTrusted(parseKey: ParseKey, keys: readonly string[]): NoteVerifier[] {
  const texts = [...new Set(keys.map((key) => key.trim()))];
  if (texts.length === 0) throw new Finding('could_not_run', 'It takes a key that you trust.');
  try {
    return texts.map(parseKey);
  } catch (error) {
    if (error instanceof RangeError) throw new Finding('could_not_run', error.message);
    throw error;
  }
}

/**
 * The keys that count for the log of a checkpoint, and for which sizes. Without a history, the one key of the log that the
 * caller trusts. With one, all of it, if every key of the log that the caller trusts stands in it: one that does not shows
 * that the history is not the log's, for instance that somebody who holds a replaced key wrote another end to it.
 *
 * @param given keys that the caller trusts, of any logs
 * @param note the checkpoint; that it names its log is all that is believed of it here
 * @throws Finding `tampered` for a history that comes with the log and is wrong; `could_not_run` for one of the caller's
 *   that is, where no key of the log was given, and for several of them of which nobody says when each counts
 */
export function keysThatCount(
  parseKey: ParseKey,
  given: readonly NoteVerifier[],
  note: string | Uint8Array,
  { offered, where = 'The log', held = [], remembered }: Histories,
): LogKey[] {
  const origin = originIn(note);
  const own = given.filter(({ name }) => name === origin);
  if (own.length === 0 && isSignedByOthers(note, given))
    throw new Finding(
      'could_not_run',
      `No key of this log was given: it is ${origin}, and you gave ${namesOf(given)}.`,
    );
  const mine = remembered === undefined ? held : [...held, remembered.document];
  const histories = mine
    .map((document) => ownHistory(parseKey, document))
    .filter((history) => nameOf(parseKey, history) === origin);
  if (offered !== undefined) histories.push(offeredHistory(parseKey, offered, where));
  const [longest] = histories.toSorted((a, b) => b.length - a.length);
  if (longest === undefined) {
    if (own.length < 2) return own.length === 0 ? [...given] : own;
    throw new Finding(
      'could_not_run',
      `You gave ${own.length} keys of ${origin}, ${namesOf(own)}, and there is no history of its keys that says for which sizes each of them counts. Give the history ("sallyport audit key --history --json" prints it), or only the key that signed this.`,
    );
  }
  for (const history of histories)
    if (!history.every((range, at) => isSame(range, longest[at], at === history.length - 1)))
      throw tampered(
        `There are two histories of the keys of ${origin} that do not agree: the log was shown in two versions, or a replaced key was used to write one of them.${remembered === undefined ? '' : ` The one that was seen before is in ${remembered.where}.`}`,
      );
  const keys = longest.map(({ verifierKey, ...range }) => ({ ...parseKey(verifierKey), ...range }));
  // None is the log's, and one of them signed all the same: that is a forgery.
  const strangers = (own.length === 0 ? given : own).filter(
    ({ verifierKey }) => !keys.some((key) => key.verifierKey === verifierKey),
  );
  if (strangers.length === 0) return keys;
  throw tampered(
    `${where} is not to be trusted. The key that you gave, ${namesOf(strangers)}, was never a key of this log. It has had ${keys.map(describeKey).join(', ')}.`,
  );
}

/**
 * Of a checkpoint that no key that counts signed: whether nobody can say that it is forged. A key of the log's name signed
 * it that the caller did not give; it may have been the log's at that time, and there is no history that says so or not.
 *
 * @param keys that count for it, by {@link keysThatCount}
 */
export function undecided(note: string | Uint8Array, keys: readonly LogKey[]): Finding | undefined {
  const origin = originIn(note);
  const own = keys.filter(({ name }) => name === origin);
  const parsed = parsedNote(note);
  const isKnown = keys.some(({ after, upTo }) => after !== undefined || upTo !== undefined);
  if (parsed === undefined || own.length === 0 || isKnown) return undefined;
  const text = toUtf8(parsed.text);
  const signers = parsed.signatures.filter(({ name }) => name === origin);
  const isOfOurs = signers.some(({ keyId, signature }) =>
    // With the id of another key on it, a signature is still ours.
    own.some((key) => key.keyId === keyId || key.verify(text, signature)),
  );
  if (signers.length === 0 || isOfOurs) return undefined;
  return new Finding(
    'could_not_run',
    `It is signed by ${signers.map(describeKey).join(', ')}, and you gave ${namesOf(own)}. Whether that was a key of ${origin} before it was replaced, the history of its keys says: give it with --history FILE ("sallyport audit key --history --json" prints it).`,
  );
}

/** Whether it is a note, and none of these keys is said to have signed it. */
function isSignedByOthers(note: string | Uint8Array, keys: readonly NoteVerifier[]): boolean {
  const signatures = parsedNote(note)?.signatures ?? [];
  return (
    signatures.length > 0 &&
    !signatures.some(({ name, keyId }) =>
      keys.some((key) => key.name === name && key.keyId === keyId),
    )
  );
}

function parsedNote(note: string | Uint8Array): ParsedNote | undefined {
  try {
    return parseNote(note);
  } catch (error) {
    if (error instanceof NoteError) return undefined;
    throw error;
  }
}

/** The log that a checkpoint names, whoever signed it; '' where it names none. */
export function originIn(note: string | Uint8Array): string {
  const text = typeof note === 'string' ? note : (fromUtf8(note) ?? '');
  return text.slice(0, Math.max(0, text.indexOf('\n')));
}

function ownHistory(parseKey: ParseKey, document: string): KeyRange[] {
  try {
    return readKeyHistory(parseKey, document);
  } catch (error) {
    if (!(error instanceof KeyHistoryError)) throw error;
    throw new Finding('could_not_run', `The history that you gave is of no use. ${error.message}`);
  }
}

function offeredHistory(parseKey: ParseKey, document: string, where: string): KeyRange[] {
  try {
    return readKeyHistory(parseKey, document);
  } catch (error) {
    if (!(error instanceof KeyHistoryError)) throw error;
    throw tampered(`${where} is not to be trusted. ${error.message}`);
  }
}

/** The last key of the shorter history may have been replaced since. */
const isSame = (one: KeyRange, other: KeyRange | undefined, isLast: boolean): boolean =>
  one.verifierKey === other?.verifierKey &&
  one.after === other.after &&
  (isLast || (one.upTo === other.upTo && isSameRoot(one.lastRoot, other.lastRoot)));

const isSameRoot = (one?: Uint8Array, other?: Uint8Array): boolean =>
  one !== undefined && other !== undefined && equalBytes(one, other);

const nameOf = (parseKey: ParseKey, [first]: readonly KeyRange[]): string | undefined =>
  first && parseKey(first.verifierKey).name;

const namesOf = (keys: readonly NoteVerifier[]): string => keys.map(describeKey).join(' and ');
