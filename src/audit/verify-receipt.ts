/** Verifies a receipt offline: with keys that the caller trusts, and nothing else. No I/O. */
import { z } from 'zod';
import { leafHash } from '../core/audit/merkle.ts';
import { verifyInclusion } from '../core/audit/proofs.ts';
import {
  parseReceipt,
  type Receipt,
  type ReceiptOf,
  type ReceiptPart,
} from '../core/audit/receipt.ts';
import { parseTlogProof } from '../core/audit/tlog-proof.ts';
import { toBase64 } from '../core/tlog/bytes.ts';
import { NoteError, parseNote } from '../core/audit/note.ts';
import { CheckpointError, parseCheckpoint, type Checkpoint } from '../core/tlog/checkpoint.ts';
import { openTrusted, type LogReport } from '../verify/check-log.ts';
import {
  Finding,
  asFinding,
  incomplete,
  tampered,
  type VerificationStatus,
} from '../verify/finding.ts';
import { undecided } from '../verify/trusted-keys.ts';
import { knownKeys, parseTrustedKeys, trustedKeysOf, type TrustedKeys } from './known-keys.ts';

/** What an entry of a receipt says, once it is proven. */
export interface ReceivedEntry {
  index: number;
  /** Hash of its leaf, 32 bytes in base64. */
  leaf: string;
  kind: string;
  /** RFC 3339, when the log took it in. */
  committedAt: string;
  /** The request, or whatever else it is about. */
  ref: string | undefined;
  lab: string | undefined;
  person: string | undefined;
  run: string | undefined;
  /** Calls that were refused: 1, or as many as were recorded together. */
  refusals: number;
  /** As the entry says that the call used them; 0 where it says nothing. */
  inputTokens: number;
  outputTokens: number;
}

/** What the verification found. */
export interface ReceiptReport {
  status: VerificationStatus;
  /** What it is a receipt of, by its own word: undefined where it cannot be read. */
  of?: ReceiptOf;
  /** The log, by its checkpoint. Like size and root undefined until the checkpoint's signature was found good. */
  origin?: string;
  /** Entries of the log by the checkpoint. */
  size?: number;
  /** The signed root, in base64. */
  root?: string;
  /** The signed note itself. */
  checkpoint?: string;
  /** Those that were proven, in the order of the log. */
  entries: ReceivedEntry[];
  /** One sentence or two that say what is wrong. Undefined when sound. */
  problem?: string;
}

/** Longer than any receipt: two entries of the most bytes there can be, and two checkpoints with a hundred signatures. */
export const MOST_RECEIPT_BYTES = 512 * 1024;

const dataSchema = z.object({
  counts: z.record(z.string(), z.number()).optional(),
  usage: z
    .object({ inputTokens: z.number().optional(), outputTokens: z.number().optional() })
    .optional(),
});

const entrySchema = z.object({
  v: z.literal(1),
  log: z.string(),
  index: z.int(),
  kind: z.string(),
  committedAt: z.iso.datetime(),
  ref: z.string().optional(),
  lab: z.string().optional(),
  person: z.string().optional(),
  run: z.string().optional(),
  data: dataSchema.catch({}),
});

/** Keys of what a request leaves that was not passed on. It has no outcome. */
const ALONE = new Set(['request.denied', 'request.answered']);

/**
 * Verifies a receipt: the signature of the checkpoint first, for nothing else counts without it; then for each entry that
 * the log holds these very bytes at this index; then that the entries are those of the request, all of them.
 *
 * @param bytes the receipt as it was kept
 * @param verifierKey the log's key as the caller has it from elsewhere, or several where it was replaced; it takes their
 *   history then, and one of them is enough
 * @param offered the history of the log's keys, as the log offers it
 * @returns never throws: what prevents the verification is a report `could_not_run`
 */
export function verifyReceipt(
  bytes: Uint8Array,
  verifierKey: string | readonly string[] | TrustedKeys,
  offered?: string,
): ReceiptReport {
  const trusted = trustedKeysOf(verifierKey);
  return check(bytes, () => {
    parseTrustedKeys(trusted);
    return (note) => {
      const report: LogReport = { status: 'sound', entriesChecked: 0, checked: [] };
      const keys = knownKeys(trusted, note, { offered });
      try {
        return openTrusted(note, keys, report).checkpoint;
      } catch (error) {
        throw undecided(note, keys) ?? error;
      }
    };
  });
}

/** Checks everything but who signed the checkpoint: what can be checked without a key. */
export const checkUnsigned = (bytes: Uint8Array): ReceiptReport =>
  check(bytes, () => (note) => {
    try {
      return parseCheckpoint(parseNote(note).text);
    } catch (error) {
      if (!(error instanceof NoteError || error instanceof CheckpointError)) throw error;
      throw tampered(`Its checkpoint is none. ${error.message}`);
    }
  });

/** Opens the checkpoint of a proof. */
type OpenCheckpoint = (note: string) => Checkpoint;

function check(bytes: Uint8Array, begin: () => OpenCheckpoint): ReceiptReport {
  const report: ReceiptReport = { status: 'sound', entries: [] };
  try {
    const open = begin();
    const receipt = readReceipt(bytes);
    report.of = receipt.of;
    for (const part of receipt.parts) {
      const { entry, checkpoint, note } = checkPart(part, open);
      if (report.checkpoint !== undefined && report.checkpoint !== note)
        throw tampered('Its proofs lead to different checkpoints: it was put together.');
      report.origin = checkpoint.origin;
      report.size = checkpoint.size;
      report.root = toBase64(checkpoint.root);
      report.checkpoint = note;
      report.entries.push(entry);
    }
    checkWhole(receipt, report.entries);
  } catch (error) {
    const { status, message } = asFinding(error);
    report.status = status;
    report.problem = message;
  }
  return report;
}

function readReceipt(bytes: Uint8Array): Receipt {
  const receipt = parseReceipt(bytes);
  if (!('kind' in receipt)) return receipt;
  if (receipt.kind === 'other') throw new Finding('could_not_run', receipt.problem);
  throw receipt.kind === 'cut' ? incomplete(receipt.problem) : tampered(receipt.problem);
}

function checkPart(
  { index, entry, proof: text }: ReceiptPart,
  open: OpenCheckpoint,
): { entry: ReceivedEntry; checkpoint: Checkpoint; note: string } {
  const proof = parseTlogProof(text);
  if (!proof)
    throw tampered(`The proof of entry ${index} is not written as the log writes proofs.`, index);
  const checkpoint = open(proof.checkpoint);
  const { origin, size, root } = checkpoint;
  const leaf = leafHash(entry);
  const isThere = verifyInclusion({ index, size, leafHash: leaf, root, proof: proof.proof });
  if (proof.index !== index || !isThere)
    throw tampered(
      `The log of the checkpoint does not hold this entry at ${index}: the entry or its proof was changed.`,
      index,
    );
  const said = entrySchema.safeParse(parseJson(entry)).data;
  if (!said) throw tampered(`The log holds something at ${index} that is no entry.`, index);
  if (said.index !== index || said.log !== origin)
    throw tampered(
      `The entry at ${index} says that it is another log's, or stands elsewhere.`,
      index,
    );
  const { kind, committedAt, ref, lab, person, run, data } = said;
  const { inputTokens = 0, outputTokens = 0 } = data.usage ?? {};
  const place = { index, leaf: leaf.toString('base64'), kind, committedAt, ref, lab, person, run };
  const shown = { ...place, refusals: refusalsOf(kind, data.counts), inputTokens, outputTokens };
  return { entry: shown, checkpoint, note: proof.checkpoint };
}

function refusalsOf(kind: string, counts: Record<string, number> = {}): number {
  if (kind === 'request.denied_repeatedly')
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  return kind === 'request.denied' ? 1 : 0;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Whether the entries are those that it is a receipt of, and all of them. */
function checkWhole({ of }: Receipt, entries: readonly ReceivedEntry[]): void {
  if ('entry' in of) {
    if (entries.length !== 1 || entries[0]?.index !== of.entry)
      throw tampered(`It is not, or not only, the entry ${of.entry} that it says it is of.`);
    return;
  }
  const stranger = entries.find(({ ref }) => ref !== of.request);
  if (stranger)
    throw tampered(
      `The entry at ${stranger.index} is not of ${of.request}: it was put there.`,
      stranger.index,
    );
  const kinds = entries.map(({ kind }) => kind);
  const [first, second, ...more] = kinds;
  const isAlone = first !== undefined && ALONE.has(first) && second === undefined;
  const isPair = first === 'request.intent' && second === 'request.outcome' && more.length === 0;
  if (isAlone) return;
  if (isPair) {
    if ((entries[0]?.index ?? 0) < (entries[1]?.index ?? 0)) return;
    throw tampered('Its entries do not stand in the order of the log.');
  }
  if (first === 'request.intent' && second === undefined)
    throw incomplete(
      'The outcome of the request is missing: it had not ended when the receipt was made, or the end of the receipt was cut off. Fetch it again.',
    );
  if (first === 'request.outcome' && second === undefined)
    throw incomplete('The intent of the request is missing: a part of the receipt was cut out.');
  throw tampered(`A request does not leave these entries: ${kinds.join(', ')}.`);
}
