/**
 * A receipt: the exact bytes of a request's entries, or of any one entry, each with the proof that it is in the log. Text,
 * so that it can be read, mailed and taken apart by hand; docs/receipts.md describes it to the byte.
 */
import { formatTlogProof } from './tlog-proof.ts';

const FORMAT = 'sallyport-receipt/';
const HEADER = `${FORMAT}v1`;

/** The same in every receipt, so that one explains itself. */
const EXPLANATION =
  'Each entry is one line of JSON, exact to the byte; the tlog-proof after it shows that the log holds it.';

/** How files of receipts end. */
export const RECEIPT_SUFFIX = '.receipt';

/** What a receipt is of: a request, by its id, or one entry, by its index in the log. */
export type ReceiptOf = { request: string } | { entry: number };

/** One entry of a receipt. */
export interface ReceiptPart {
  /** Where the log has it, as the receipt says outside of the proof. */
  index: number;
  /** The exact bytes: what was hashed. */
  entry: Uint8Array;
  /** A `.tlog-proof`, usable alone. */
  proof: string;
}

export interface Receipt {
  of: ReceiptOf;
  /** In the order of the log. */
  parts: ReceiptPart[];
}

/** What is proven of one entry. */
export interface ProvenEntry {
  index: number;
  bytes: Uint8Array;
  /** From the leaf up to the root. */
  proof: readonly Uint8Array[];
}

/** Writes a receipt. @param checkpoint the signed note that all proofs lead to */
export function formatReceipt(
  of: ReceiptOf,
  entries: readonly ProvenEntry[],
  checkpoint: string,
): string {
  const subject = 'request' in of ? `request ${of.request}` : `entry ${of.entry}`;
  const parts = entries.map(({ index, bytes, proof }) => {
    const entry = Buffer.from(bytes).toString('utf8');
    const tlogProof = formatTlogProof(index, proof, checkpoint);
    return block('ENTRY', index, `${entry}\n`) + block('TLOG-PROOF', index, tlogProof);
  });
  return `${HEADER}\n${subject}\n${EXPLANATION}\n${parts.join('')}`;
}

type Label = 'ENTRY' | 'TLOG-PROOF';

const begin = (label: Label, index: number): string => `-----BEGIN ${label} ${index}-----\n`;
const end = (label: Label, index: number): string => `-----END ${label} ${index}-----\n`;
const block = (label: Label, index: number, text: string): string =>
  begin(label, index) + text + end(label, index);

/** Why a text is no receipt. */
export interface ReceiptProblem {
  /**
   * - `other`: it is something else, or of a version that this one does not know.
   * - `cut`: it is right as far as it goes, and ends too early.
   * - `changed`: no receipt was ever written like this.
   */
  kind: 'other' | 'cut' | 'changed';
  /** One sentence. */
  problem: string;
}

/** Reads a receipt. Nothing is proven by that. Takes nothing that {@link formatReceipt} would not have written. */
export function parseReceipt(bytes: Uint8Array): Receipt | ReceiptProblem {
  let text: string;
  try {
    // Of a stream: a character that was cut in two is an end that came too early, and no other text.
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    text = decoder.decode(bytes, { stream: true });
  } catch {
    return isOther(Buffer.from(bytes).toString('latin1')) ?? changed('It is not UTF-8 text.');
  }
  const other = isOther(text);
  if (other) return other;
  const reader = new Lines(text);
  try {
    reader.expect(`${HEADER}\n`);
    const of = subjectOf(reader.line());
    reader.expect(`${EXPLANATION}\n`);
    const parts: ReceiptPart[] = [];
    do parts.push(readPart(reader));
    while (!reader.isAtEnd);
    if (Buffer.byteLength(text) !== bytes.length)
      return changed('Something stands behind its end.');
    return { of, parts };
  } catch (error) {
    if (error instanceof Unreadable) return error.why;
    throw error;
  }
}

/** Carries a problem out of the reading. */
class Unreadable extends Error {
  readonly why: ReceiptProblem;

  constructor(why: ReceiptProblem) {
    super(why.problem);
    this.why = why;
  }
}

const changed = (problem: string): ReceiptProblem => ({ kind: 'changed', problem });
const CUT: ReceiptProblem = {
  kind: 'cut',
  problem: 'It ends before its end: it was cut off, in transfer or on the disk.',
};

function isOther(text: string): ReceiptProblem | undefined {
  if (HEADER.startsWith(text) || text.startsWith(`${HEADER}\n`)) return undefined;
  const version = /^sallyport-receipt\/(v\d{1,6})\n/.exec(text)?.[1];
  return {
    kind: 'other',
    problem:
      version === undefined
        ? 'It is not a receipt: it does not begin with the line of one.'
        : `It is a receipt of version ${version}, and this is made for v1: use a newer sallyport.`,
  };
}

function subjectOf(line: string): ReceiptOf {
  const [, request, index] =
    /^(?:request (req_[0-9a-z]{26})|entry (0|[1-9]\d{0,15}))$/.exec(line) ?? [];
  if (request !== undefined) return { request };
  const entry = Number(index ?? Number.NaN);
  if (Number.isSafeInteger(entry)) return { entry };
  throw new Unreadable(changed('Its second line does not say what it is a receipt of.'));
}

function readPart(reader: Lines): ReceiptPart {
  const [, digits] = /^-----BEGIN ENTRY (0|[1-9]\d{0,15})-----$/.exec(reader.line()) ?? [];
  const index = Number(digits ?? Number.NaN);
  if (!Number.isSafeInteger(index))
    throw new Unreadable(changed('A part of it does not begin as parts of receipts do.'));
  const entry = Buffer.from(reader.line(), 'utf8');
  reader.expect(end('ENTRY', index));
  reader.expect(begin('TLOG-PROOF', index));
  const proof = reader.upTo(end('TLOG-PROOF', index));
  return { index, entry, proof };
}

/** A text, read from its beginning. Each step throws {@link Unreadable} where the text is not as it must be. */
class Lines {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  /** The next line, without its end. */
  line(): string {
    const stop = this.#text.indexOf('\n', this.#at);
    if (stop === -1) throw new Unreadable(CUT);
    const line = this.#text.slice(this.#at, stop);
    this.#at = stop + 1;
    return line;
  }

  expect(wanted: string): void {
    const found = this.#text.slice(this.#at, this.#at + wanted.length);
    this.#at += wanted.length;
    if (found === wanted) return;
    const isCut = this.#at > this.#text.length && wanted.startsWith(found);
    throw new Unreadable(
      isCut ? CUT : changed(`Where "${wanted.trimEnd()}" has to stand, something else does.`),
    );
  }

  /** What stands before a line, which is read over. */
  upTo(line: string): string {
    const stop = this.#text.indexOf(`\n${line}`, this.#at - 1) + 1;
    if (stop === 0) {
      throw new Unreadable(
        this.#couldGoOnTo(line) ? CUT : changed(`"${line.trimEnd()}" is not there.`),
      );
    }
    const text = this.#text.slice(this.#at, stop);
    this.#at = stop + line.length;
    return text;
  }

  /** Whether what is left could be the beginning of something that a line ends. */
  #couldGoOnTo(line: string): boolean {
    const lines = this.#text.slice(this.#at).split('\n');
    const unfinished = lines.pop() ?? '';
    if (lines.some((one) => one.startsWith('-----') || one.endsWith('-----'))) return false;
    return line.startsWith(unfinished) || !unfinished.startsWith('-');
  }
}
