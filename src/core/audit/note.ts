/** Signed notes: C2SP signed-note. A text, and after its last blank line the signatures over it. Runs anywhere. */
import { concatBytes, fromBase64, fromUtf8, toBase64, toUtf8 } from '../tlog/bytes.ts';

/** A note may carry witnesses' signatures besides the log's. More lines than this are refused unread. */
const MAX_SIGNATURES = 100;

/** U+2014 and a space, which start a signature line. */
const SIGNATURE_PREFIX = '\u2014 ';

/** Bytes of the key id that precede the signature proper. */
const KEY_ID_BYTES = 4;

/** Why a note was refused. */
export type NoteProblem =
  /** It is not a signed note at all. */
  | 'malformed'
  /** It carries a signature by a known key, and that signature is wrong. */
  | 'bad_signature'
  /** It carries no signature by a known key. */
  | 'unknown_key';

/** Thrown for a note that cannot be trusted. The message says what is wrong with it. */
export class NoteError extends Error {
  override readonly name = 'NoteError';
  readonly problem: NoteProblem;

  constructor(problem: NoteProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** Signs notes under one name. */
export interface NoteSigner {
  name: string;
  /** First four bytes of the key id hash, as a big-endian number. */
  keyId: number;
  /** Signs the bytes of a note's text. */
  sign: (text: Uint8Array) => Uint8Array;
}

/** Checks the signatures of one key. */
export interface NoteVerifier {
  name: string;
  /** First four bytes of the key id hash, as a big-endian number. */
  keyId: number;
  /** The key as text, in the one form it has: `name+hex+base64`. */
  verifierKey: string;
  /** Whether this is the key's signature over the bytes of a note's text. */
  verify: (text: Uint8Array, signature: Uint8Array) => boolean;
}

/** One signature line, not checked. */
export interface NoteSignature {
  name: string;
  keyId: number;
  /** What follows the key id; its meaning depends on the type of key. */
  signature: Uint8Array;
}

/** A note taken apart, not checked. */
export interface ParsedNote {
  /** The signed text, with its final newline. */
  text: string;
  signatures: NoteSignature[];
}

/** A note with at least one good signature by a known key and no bad one. */
export interface OpenedNote {
  text: string;
  /** The signatures by known keys, all good. */
  verified: NoteSignature[];
  /** The signatures by keys not known to the caller: they prove nothing. */
  unknown: NoteSignature[];
}

/**
 * Signs a text and returns the note.
 *
 * @param text ends in a newline; valid Unicode without control characters
 * @throws NoteError `malformed` when the text cannot be that of a note
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  assertNoteText(text);
  const bytes = toUtf8(text);
  const signatures = signers.map(({ name, keyId, sign }) => ({
    name,
    keyId,
    signature: sign(bytes),
  }));
  return formatNote(text, signatures);
}

/** Puts a text and its signatures together, for instance to add a witness's signature to a note. */
export function formatNote(text: string, signatures: readonly NoteSignature[]): string {
  assertNoteText(text);
  if (signatures.length === 0) throw malformed('it has no signature');
  return `${text}\n${signatures.map(formatSignature).join('')}`;
}

/** A signature as the line of a note that it is, with its newline. */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const id = new Uint8Array(KEY_ID_BYTES);
  new DataView(id.buffer).setUint32(0, keyId);
  return `${SIGNATURE_PREFIX}${name} ${toBase64(concatBytes([id, signature]))}\n`;
}

/**
 * Reads signature lines that stand alone, as a witness answers with.
 *
 * @throws NoteError `malformed`
 */
export function parseSignatures(lines: string): NoteSignature[] {
  return parseNote(`-\n\n${lines}`).signatures;
}

/**
 * Takes a note apart without checking a signature.
 *
 * @param note the note's text, or its UTF-8 bytes
 * @throws NoteError `malformed`
 */
export function parseNote(note: string | Uint8Array): ParsedNote {
  const whole = typeof note === 'string' ? note : decodeUtf8(note);
  assertNoteText(whole);
  // The last blank line: the text may hold blank lines of its own.
  const split = whole.lastIndexOf('\n\n');
  if (split === -1) throw malformed('no blank line separates text and signatures');
  const lines = whole.slice(split + 2, -1).split('\n');
  if (whole.length === split + 2) throw malformed('it has no signature');
  if (lines.length > MAX_SIGNATURES)
    throw malformed(`it has more than ${MAX_SIGNATURES} signatures`);
  return { text: whole.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/**
 * Checks a note against the keys that the caller trusts.
 *
 * @throws NoteError `malformed`; `bad_signature` when a signature claimed by a trusted key is not its;
 *   `unknown_key` when no trusted key signed
 */
export function openNote(
  note: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
): OpenedNote {
  const { text, signatures } = parseNote(note);
  const bytes = toUtf8(text);
  const opened: OpenedNote = { text, verified: [], unknown: [] };
  for (const line of signatures) {
    const keys = verifiers.filter(({ name, keyId }) => name === line.name && keyId === line.keyId);
    if (keys.length === 0) {
      opened.unknown.push(line);
    } else if (keys.some((key) => key.verify(bytes, line.signature))) {
      opened.verified.push(line);
    } else {
      throw new NoteError(
        'bad_signature',
        `The signature by ${describeKey(line)} is not over this text.`,
      );
    }
  }
  if (opened.verified.length === 0) {
    throw new NoteError(
      'unknown_key',
      `The note is signed by ${signatures.map(describeKey).join(', ')}, but not by ${verifiers.map(describeKey).join(' or ')}.`,
    );
  }
  return opened;
}

/** A key's name and id as people compare them, for instance `log.example+0a1b2c3d`. */
export function describeKey(key: { name: string; keyId: number }): string {
  // The name may come from a forged note, and the text goes to a terminal.
  return `${key.name.replaceAll(/\p{C}/gu, '?')}+${key.keyId.toString(16).padStart(8, '0')}`;
}

function parseSignatureLine(line: string): NoteSignature {
  const parts = /^\u2014 ([^\s\u0085+]+) (\S+)$/u.exec(line);
  const [, name, encoded] = parts ?? [];
  if (name === undefined || encoded === undefined) {
    throw malformed('a line after its last blank line is not a signature');
  }
  const bytes = fromBase64(encoded);
  if (bytes === undefined || bytes.length <= KEY_ID_BYTES) {
    throw malformed(`the signature by ${name} is not in base64`);
  }
  return {
    name,
    keyId: new DataView(bytes.buffer).getUint32(0),
    signature: bytes.subarray(KEY_ID_BYTES),
  };
}

function assertNoteText(text: string): void {
  if (!text.endsWith('\n')) throw malformed('it does not end in a newline');
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) throw malformed('it holds a control character');
  if (/\p{Surrogate}/u.test(text)) throw malformed('it is not valid Unicode');
}

function decodeUtf8(bytes: Uint8Array): string {
  const text = fromUtf8(bytes);
  if (text === undefined) throw malformed('it is not UTF-8');
  return text;
}

function malformed(why: string): NoteError {
  return new NoteError('malformed', `Not a signed note: ${why}.`);
}
