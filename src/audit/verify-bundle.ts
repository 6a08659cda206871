/** Verifies an evidence bundle offline: with a key that the caller trusts, and nothing else. */
import { CheckpointError, type Checkpoint } from '../core/audit/checkpoint.ts';
import {
  KeyHistoryError,
  keysOf,
  openCheckpointOf,
  parseKeyHistory,
  withoutHistory,
  type KeyRange,
} from '../core/audit/key-history.ts';
import { parseVerifierKey } from '../core/audit/note-keys.ts';
import { NoteError, describeKey, type NoteVerifier } from '../core/audit/note.ts';
import {
  CHECKPOINT_PATH,
  MANIFEST_PATH,
  VERIFIER_KEY_PATH,
  bundleManifest,
  bundlePosition,
  keyHistoryIn,
} from './bundle-layout.ts';
import type { BundleReader } from './bundle-reader.ts';
import { readSmall } from './expected-file.ts';
import { Finding, tampered, type VerificationStatus } from './finding.ts';
import { openBundle } from './open-bundle.ts';
import { MOST_REPORT_MANIFEST_BYTES, isReportManifest } from './report-layout.ts';
import { checkEntries } from './verify-entries.ts';
import { checkReport, type SignedCheckpoint } from './verify-report.ts';
import { checkTiles } from './verify-tiles.ts';

export type { VerificationStatus };

/** What the verification found. */
export interface BundleReport {
  status: VerificationStatus;
  /** The log, by its checkpoint. Like size and root undefined until the checkpoint's signature was found good. */
  origin?: string;
  /** Entries by the checkpoint. */
  size?: number;
  /** The signed root, in base64 as in the checkpoint. */
  root?: string;
  /** Entries whose bytes were found right. */
  entriesChecked: number;
  /** The incident that it is a report on; undefined for a bundle of the whole log. */
  incident?: string;
  /** The first entry that is wrong, or missing. Undefined when no single entry is to blame. */
  firstBadIndex?: number;
  /** One sentence or two that say what is wrong and where. Undefined when sound. */
  problem?: string;
  /** What was checked and found right, in order. */
  checked: string[];
}

/** Exit code of the command line for each status. */
export const EXIT_CODES: Record<VerificationStatus, number> = {
  sound: 0,
  tampered: 1,
  incomplete: 2,
  could_not_run: 3,
};

/** More than manifest, checkpoint or key can have: a checkpoint with a hundred signatures has some 20 kB. */
const MOST_BYTES = 64 * 1024;

/**
 * Verifies a bundle. Always checks everything: the checkpoint's signature first, for nothing else counts
 * without it; then key and manifest, the tiles up to the signed root, and every entry. Memory does not grow
 * with the entries' bytes.
 *
 * A sound report says that these are all entries of the log up to the checkpoint. Whether the log was
 * continued, or shown differently to others, only other checkpoints of it tell: see `checkConsistency`.
 *
 * @param path a bundle's tar archive, or a directory into which it was unpacked
 * @param verifierKey the log's key as the caller has it from elsewhere than the bundle, or several of one whose key was
 *   replaced; of those, one is enough where the bundle has the history of the keys
 * @param onEntry is given the bytes of each entry that was found right, in the order of the log. What it makes of them
 *   counts for nothing unless the report says `sound`
 * @returns never rejects: what prevents the verification is a report `could_not_run`
 */
export async function verifyBundle(
  path: string,
  verifierKey: string | readonly string[],
  onEntry: (bytes: Buffer) => void = () => undefined,
): Promise<BundleReport> {
  const report: BundleReport = { status: 'sound', entriesChecked: 0, checked: [] };
  let reader: BundleReader | undefined;
  try {
    const keys = [verifierKey].flat().map(parseTrustedKey);
    reader = await openBundle(path);
    await verify(reader, keys, report, onEntry);
  } catch (error) {
    const { status, message, firstBadIndex } = asFinding(error);
    report.status = status;
    report.problem = message;
    if (firstBadIndex !== undefined) report.firstBadIndex = firstBadIndex;
  } finally {
    await reader?.close();
  }
  return report;
}

async function verify(
  reader: BundleReader,
  given: readonly NoteVerifier[],
  report: BundleReport,
  onEntry: (bytes: Buffer) => void,
): Promise<void> {
  const manifest = await readSmall(reader, MANIFEST_PATH, MOST_REPORT_MANIFEST_BYTES);
  const note = await readSmall(reader, CHECKPOINT_PATH, MOST_BYTES);
  const history = keyHistoryIn(manifest);
  const keys = knownKeys(given, history);
  const { checkpoint, key } = await checkSignature(reader, note, keys, given);
  const { origin, size, root } = checkpoint;
  report.origin = origin;
  report.size = size;
  report.root = root.toString('base64');
  report.checked.push(`checkpoint of ${size} entries signed by ${describeKey(key)}`);

  const carried = await readSmall(reader, VERIFIER_KEY_PATH, MOST_BYTES);
  if (!keys.some(({ verifierKey }) => carried.toString('utf8') === `${verifierKey}\n`)) {
    throw tampered(
      `${VERIFIER_KEY_PATH} was changed: it is not the key that signed the checkpoint and that you gave.`,
    );
  }
  report.checked.push(
    given.some(({ verifierKey }) => verifierKey === key.verifierKey)
      ? 'verifier key as given'
      : 'verifier key by the history of the keys, in which the one that you gave stands',
  );

  if (isReportManifest(manifest)) {
    await verifyReport(reader, manifest, { ...checkpoint, note }, report);
    return;
  }

  if (!manifest.equals(bundleManifest(origin, size, note, history))) {
    throw tampered(`${MANIFEST_PATH} was changed: it does not describe the signed checkpoint.`);
  }
  report.checked.push('manifest');

  const tiles = await checkTiles(reader, size, root);
  if (tiles.problem === undefined) {
    report.checked.push(`${tiles.count} hash tiles up to the signed root`);
  }

  const progress = { matching: 0, onEntry };
  try {
    await checkEntries(reader, checkpoint, tiles, progress);
  } finally {
    report.entriesChecked = progress.matching;
  }
  const surplus = await reader.surplus(
    (file) => bundlePosition(file, size) !== undefined,
    ['tile', 'entries'],
  );
  if (surplus !== undefined) {
    throw tampered(`The bundle holds ${surplus}, which no bundle of this log has there.`);
  }
  report.checked.push(`${size} entries up to the signed root, each with its own index and log`);
}

/** What comes after the key in a report on an incident. */
async function verifyReport(
  reader: BundleReader,
  manifest: Buffer,
  checkpoint: SignedCheckpoint,
  report: BundleReport,
): Promise<void> {
  const progress = { matching: 0 };
  try {
    const { incident, files, entries } = await checkReport(reader, manifest, checkpoint, progress);
    report.incident = incident;
    report.checked.push(
      'manifest, by the entry of its export',
      `${files} files by the manifest`,
      `${entries} entries by their proofs, each with its own index and log`,
    );
  } finally {
    report.entriesChecked = progress.matching;
  }
}

/** The checkpoint, if the caller's key signed it. The bundle's own key serves only to explain why not. */
async function checkSignature(
  reader: BundleReader,
  note: Buffer,
  keys: readonly KeyRange[],
  given: readonly NoteVerifier[],
): Promise<{ checkpoint: Checkpoint; key: NoteVerifier }> {
  try {
    return openCheckpointOf(note, keys);
  } catch (error) {
    if (!(error instanceof NoteError || error instanceof CheckpointError)) throw error;
    const carried = await carriedKey(reader);
    if (
      carried === undefined ||
      keys.some(({ verifierKey }) => verifierKey === carried.verifierKey)
    ) {
      throw tampered(`The checkpoint is not to be trusted. ${error.message}`);
    }
    throw tampered(
      `The bundle carries the key ${describeKey(carried)}, not the key you gave, ${given.map(describeKey).join(' or ')}: either you gave another log's key, or the bundle is forged.`,
    );
  }
}

/** The keys that count, and for which sizes: those given, or all of the history that one of them stands in. */
function knownKeys(given: readonly NoteVerifier[], history: string | undefined): KeyRange[] {
  const texts = given.map(({ verifierKey }) => verifierKey);
  if (history === undefined) return withoutHistory(texts);
  try {
    return keysOf(parseKeyHistory(history), texts);
  } catch (error) {
    if (error instanceof KeyHistoryError)
      throw tampered(`The bundle is not to be trusted. ${error.message}`);
    throw error;
  }
}

async function carriedKey(reader: BundleReader): Promise<NoteVerifier | undefined> {
  try {
    const text = await readSmall(reader, VERIFIER_KEY_PATH, MOST_BYTES);
    return parseVerifierKey(text.toString('utf8').trimEnd());
  } catch (error) {
    if (error instanceof Finding || error instanceof RangeError) return undefined;
    throw error;
  }
}

function parseTrustedKey(verifierKey: string): NoteVerifier {
  try {
    return parseVerifierKey(verifierKey.trim());
  } catch (error) {
    throw new Finding('could_not_run', (error as Error).message);
  }
}

function asFinding(error: unknown): Finding {
  if (error instanceof Finding) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new Finding('could_not_run', `The verification failed: ${code ?? message}.`);
}
