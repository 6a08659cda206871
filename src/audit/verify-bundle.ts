/** Verifies an evidence bundle offline: with a key that the caller trusts, and nothing else. */
import { tree } from '../core/audit/merkle.ts';
import { parseVerifierKey } from '../core/audit/note-keys.ts';
import { describeKey, type NoteVerifier } from '../core/audit/note.ts';
import type { Checkpoint, LogKey } from '../core/tlog/checkpoint.ts';
import { HASH_BYTES } from '../core/tlog/tree.ts';
import { checkEntries, leafHashesOf } from '../verify/check-entries.ts';
import { PruningsSaid, archivedInWords } from '../verify/archived.ts';
import {
  openTrusted,
  rangeChecked,
  settle,
  withPrunings,
  type LogReport,
} from '../verify/check-log.ts';
import { checkTiles, type ReadExactTile } from '../verify/check-tiles.ts';
import {
  mustHoldSteps,
  standingAtOnce,
  standingByProof,
  wrongStanding,
} from '../verify/compare.ts';
import { Finding, incomplete, tampered, type VerificationStatus } from '../verify/finding.ts';
import {
  CHECKPOINT_PATH,
  MANIFEST_PATH,
  VERIFIER_KEY_PATH,
  belongsToBundle,
  bundleManifest,
  keyHistoryIn,
  rangeIn,
  type BundleRange,
} from './bundle-layout.ts';
import type { BundleReader } from './bundle-reader.ts';
import { readExact, readSmall } from './expected-file.ts';
import { undecided } from '../verify/trusted-keys.ts';
import { knownKeys, parseTrustedKeys, trustedKeysOf, type TrustedKeys } from './known-keys.ts';
import { openBundle } from './open-bundle.ts';
import { bundleEntries } from './read-entries.ts';
import { MOST_REPORT_MANIFEST_BYTES, isReportManifest } from './report-layout.ts';
import { checkReport, type SignedCheckpoint } from './verify-report.ts';

export type { VerificationStatus };

/** What the verification found. */
export interface BundleReport extends LogReport {
  /** The incident that it is a report on; undefined for a bundle of the whole log. */
  incident?: string;
  /** Of an archive, which entries it is of. */
  range?: BundleRange;
  /** The history of the log's keys that it carries, found right. */
  keyHistory?: string;
}

/** Gives a checkpoint that was seen before; undefined: none that the keys of the log signed. */
export type SeenOf = (origin: string, keys: readonly LogKey[]) => Checkpoint | undefined;

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
 * Verifies a bundle, whose files may come in any order. Always checks everything: the checkpoint's signature first, for
 * nothing else counts without it; then key and manifest, the tiles up to the signed root, and every entry. Memory does
 * not grow with the entries' bytes.
 *
 * A sound report says that these are all entries of the log up to the checkpoint. Whether the log was
 * continued, or shown differently to others, only other checkpoints of it tell: see `checkConsistency`.
 *
 * @param path a bundle's tar archive, or a directory into which it was unpacked
 * @param verifierKey the log's key as the caller has it from elsewhere than the bundle, or several of one whose key was
 *   replaced, with their history: of those, one is enough where the bundle has it
 * @param onEntry is given the bytes of each entry that was found right, in the order of the log. What it makes of them
 *   counts for nothing unless the report says `sound`
 * @param seen gives a checkpoint of this log that was seen before, its signature found good; the bundle must be of the
 *   same log, and may be of an earlier moment
 * @param isArchive whether it is meant to be of some entries alone: of an archive, nothing is said of the others
 * @returns never rejects: what prevents the verification is a report `could_not_run`
 */
export async function verifyBundle(
  path: string,
  verifierKey: string | readonly string[] | TrustedKeys,
  onEntry: (bytes: Uint8Array) => void = () => undefined,
  seen: SeenOf = () => undefined,
  isArchive = false,
): Promise<BundleReport> {
  const report: BundleReport = { status: 'sound', entriesChecked: 0, checked: [] };
  let reader: BundleReader | undefined;
  try {
    const trusted = trustedKeysOf(verifierKey);
    parseTrustedKeys(trusted);
    reader = await openBundle(path);
    await verify(reader, trusted, report, { onEntry, seenOf: seen, isArchive });
  } catch (error) {
    settle(report, error);
  } finally {
    await reader?.close();
  }
  return report;
}

async function verify(
  reader: BundleReader,
  trusted: TrustedKeys,
  report: BundleReport,
  {
    onEntry,
    seenOf,
    isArchive,
  }: { onEntry: (bytes: Uint8Array) => void; seenOf: SeenOf; isArchive: boolean },
): Promise<void> {
  const manifest = await readSmall(reader, MANIFEST_PATH, MOST_REPORT_MANIFEST_BYTES);
  const note = await readSmall(reader, CHECKPOINT_PATH, MOST_BYTES);
  const history = keyHistoryIn(manifest);
  const given = parseTrustedKeys(trusted);
  const keys = knownKeys(trusted, note, { offered: history, where: 'The bundle' });
  const { checkpoint, key } = await checkSignature(reader, note, keys, given, report, isArchive);
  if (history !== undefined) report.keyHistory = history;
  const { origin, size, root } = checkpoint;
  const carried = await readSmall(reader, VERIFIER_KEY_PATH, MOST_BYTES);
  if (!keys.some(({ verifierKey }) => carried.toString('utf8') === `${verifierKey}\n`)) {
    if (keys.some(({ verifierKey }) => isCut(carried, `${verifierKey}\n`)))
      throw incomplete(`${VERIFIER_KEY_PATH} is cut short.`);
    throw tampered(
      `${VERIFIER_KEY_PATH} was changed: it is not the key that signed the checkpoint and that you gave.`,
    );
  }
  report.checked.push(
    given.some(({ verifierKey }) => verifierKey === key.verifierKey)
      ? 'verifier key as given'
      : 'verifier key by the history of the keys, in which the one that you gave stands',
  );
  const seen = seenOf(origin, keys);
  const atOnce = seen && standingAtOnce(seen, checkpoint);
  if (seen !== undefined && atOnce === 'fork') throw wrongStanding('fork', seen, checkpoint)!;

  if (isReportManifest(manifest)) {
    await verifyReport(reader, manifest, checkpoint, report);
    return;
  }

  const range = rangeIn(manifest, size);
  const { from, to } = range;
  const expected = bundleManifest(origin, size, note, history, range);
  if (isCut(manifest, expected.toString('utf8')))
    throw incomplete(`${MANIFEST_PATH} is cut short.`);
  if (!manifest.equals(expected)) {
    throw tampered(`${MANIFEST_PATH} was changed: it does not describe the signed checkpoint.`);
  }
  report.checked.push('manifest');

  const readTile: ReadExactTile = ({ path, width }) =>
    readExact(reader, path, size, width * HASH_BYTES);
  const tiles = await checkTiles(tree, readTile, size, root);
  if (tiles.problem === undefined) {
    report.checked.push(`${tiles.count} hash tiles up to the signed root`);
    await mustHoldSteps(tree, keys, checkpoint, readTile);
    if (seen !== undefined && atOnce === undefined)
      await checkStanding(seen, checkpoint, readTile, report);
  }

  const said = new PruningsSaid();
  const progress = withPrunings({ matching: 0, onEntry }, from, said);
  try {
    const blocks = bundleEntries(reader, size, leafHashesOf(tiles), range);
    await checkEntries(tree, blocks, checkpoint, tiles, progress, range);
  } finally {
    report.entriesChecked = progress.matching;
  }
  const surplus = await reader.surplus(
    (file) => belongsToBundle(file, size, range),
    ['tile', 'entries'],
  );
  if (surplus !== undefined) {
    throw tampered(`The bundle holds ${surplus}, which no bundle of this log has there.`);
  }
  await reader.end();
  if (isArchive) {
    report.range = range;
    report.checked.push(
      `the ${to - from} entries ${from} to ${to - 1} under the signed root, each with its own index and log`,
    );
    return;
  }
  if (to < size)
    throw incomplete(
      `The bundle has the entries ${from} to ${to - 1} of ${size}: it is an archive, and says nothing of the others. Hand it in with --archive.`,
      to,
    );
  report.checked.push(rangeChecked(range));
  if (from === 0) return;
  report.archived = said.covering(from, said.upTo, (index) => `Entry ${index} is missing.`);
  report.checked.push(archivedInWords(report.archived));
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

/** @throws Finding where the bundle is not of the log that was seen before */
async function checkStanding(
  seen: Checkpoint,
  checkpoint: Checkpoint,
  readTile: ReadExactTile,
  report: BundleReport,
): Promise<void> {
  const standing = await standingByProof(tree, seen, checkpoint, readTile);
  const wrong = wrongStanding(standing, seen, checkpoint);
  if (wrong !== undefined) throw wrong;
  report.checked.push(`continues the checkpoint of ${seen.size} entries that was seen before`);
}

/** The checkpoint, if one of the caller's keys signed it. The bundle's own key serves only to explain why not. */
async function checkSignature(
  reader: BundleReader,
  note: Buffer,
  keys: readonly LogKey[],
  given: readonly NoteVerifier[],
  report: BundleReport,
  isArchive: boolean,
): Promise<{ checkpoint: SignedCheckpoint; key: LogKey }> {
  try {
    const { checkpoint, key } = openTrusted(note, keys, report);
    const { origin, size, root } = checkpoint;
    return { checkpoint: { origin, size, root: Buffer.from(root), note }, key };
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    if (isCutCheckpoint(note))
      throw incomplete(
        `${CHECKPOINT_PATH} is cut short: its signature, or a part of it, is missing.`,
      );
    // An archive is older than what is known of the log, and so may its key be.
    const finding = isArchive ? undecided(note, keys) : undefined;
    if (finding !== undefined) throw finding;
    const carried = await carriedKey(reader);
    if (!carried || keys.some(({ verifierKey }) => verifierKey === carried.verifierKey))
      throw error;
    throw tampered(
      `The bundle carries the key ${describeKey(carried)}, not the key you gave, ${given.map(describeKey).join(' or ')}: either you gave another log's key, or the bundle is forged. If the log's key was replaced since, give the history of its keys with --history FILE ("sallyport audit key --history --json" prints it).`,
    );
  }
}

/** Lines of a checkpoint, the last of which may be missing in part. */
const BEGUN =
  /^[^\n]*(?:\n\d*(?:\n[A-Za-z0-9+/]*={0,2}(?:\n(?:\n(?:\u2014 \S+ \S+\n)*(?:\u2014(?: [^\s]*(?: [A-Za-z0-9+/]*={0,2})?)?)?)?)?)?)?$/u;

/** Whether it is the beginning of a signed checkpoint, and no whole one. */
function isCutCheckpoint(note: Buffer): boolean {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(note, { stream: true });
  } catch {
    return false;
  }
  const isWhole = /\n\n[^]*\n$/.test(text);
  return !isWhole && !/[^\n\P{Control}]/u.test(text) && BEGUN.test(text);
}

/** Whether a file is the beginning of what must be there. */
const isCut = (found: Buffer, expected: string): boolean => {
  const whole = Buffer.from(expected, 'utf8');
  return found.length < whole.length && whole.subarray(0, found.length).equals(found);
};

async function carriedKey(reader: BundleReader): Promise<NoteVerifier | undefined> {
  try {
    const text = await readSmall(reader, VERIFIER_KEY_PATH, MOST_BYTES);
    return parseVerifierKey(text.toString('utf8').trimEnd());
  } catch (error) {
    if (error instanceof Finding || error instanceof RangeError) return undefined;
    throw error;
  }
}
