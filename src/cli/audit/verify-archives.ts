/** Archives that are handed in beside a log whose beginning was pruned: checked by themselves, and against the log. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { withHistory, type TrustedKeys } from '../../audit/known-keys.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { verifyBundle, type BundleReport } from '../../audit/verify-bundle.ts';
import { tree } from '../../core/audit/merkle.ts';
import { seenCheckpoint } from '../../core/audit/split-view.ts';
import type { Archived, RecordedArchive } from '../../verify/archived.ts';
import type { ReadExactTile } from '../../verify/check-tiles.ts';
import {
  standingAtOnce,
  standingByProof,
  wrongStanding,
  type Standing,
} from '../../verify/compare.ts';
import { Finding, tampered } from '../../verify/finding.ts';
import { tilesOfBundle } from './log-hashes.ts';

/** An archive that was found right. */
export interface VerifiedArchive {
  path: string;
  report: BundleReport;
  /** It has the entries `from` to `to - 1`. */
  from: number;
  to: number;
  /** With which it was found right. */
  keys: TrustedKeys;
  /** Of the file, hex; undefined for one that was unpacked. */
  sha256: string | undefined;
}

/**
 * Checks archives, in the order of their entries.
 *
 * @param keys with the history of the log that they are of, where that is known
 * @throws Finding of the first that is not sound, with its name
 */
export async function verifyArchives(
  paths: readonly string[],
  keys: TrustedKeys,
): Promise<VerifiedArchive[]> {
  const found: VerifiedArchive[] = [];
  const undecided: string[] = [];
  let known = keys;
  for (const path of paths) {
    const report = await verifyBundle(path, keys, undefined, undefined, true);
    known = withHistory(known, report.keyHistory);
    if (report.status === 'could_not_run') undecided.push(path);
    else found.push(await whenRight(path, report, keys));
  }
  // A newer one carries the history by which the key of an older one counts.
  for (const path of undecided)
    found.push(
      await whenRight(path, await verifyBundle(path, known, undefined, undefined, true), known),
    );
  found.sort((one, other) => one.from - other.from);
  return found;
}

/** Gives the entries of archives below an index, in the order of the log, each once. @param archives in their order */
export async function giveEntries(
  archives: readonly VerifiedArchive[],
  before: number,
  onEntry: (bytes: Uint8Array) => void,
): Promise<void> {
  let next = 0;
  for (const { path, from, keys } of archives) {
    let index = from;
    const give = (bytes: Uint8Array): void => {
      if (index === next && next < before) {
        onEntry(bytes);
        next += 1;
      }
      index += 1;
    };
    await verifyBundle(path, keys, give, undefined, true);
  }
}

async function whenRight(
  path: string,
  report: BundleReport,
  keys: TrustedKeys,
): Promise<VerifiedArchive> {
  const { status, problem = 'It is a report on an incident, and no archive.', range } = report;
  if (status !== 'sound' || range === undefined)
    throw new Finding(
      status === 'sound' ? 'could_not_run' : status,
      `The archive ${path}: ${problem}`,
      report.firstBadIndex,
    );
  return { path, report, keys, ...range, sha256: await digestOf(path) };
}

async function digestOf(path: string): Promise<string | undefined> {
  if ((await stat(path)).isDirectory()) return undefined;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** What they are held against. */
export interface ArchivedLog {
  /** Its checkpoint, whose signature was found good. */
  note: string;
  /** Its tiles, which were found to reach the signed root. */
  readTile: ReadExactTile;
}

/**
 * Holds archives against a log: each is of a checkpoint that is one with the log's.
 *
 * @throws Finding where one is not
 */
export async function mustBeOfOneLog(
  archives: readonly VerifiedArchive[],
  { note, readTile }: ArchivedLog,
): Promise<void> {
  const log = seenCheckpoint(note);
  for (const { path, report } of archives) {
    const own = seenCheckpoint(report.checkpoint ?? '');
    if (own.origin !== log.origin)
      throw tampered(`The archive ${path} is of the log ${own.origin}, not of ${log.origin}.`);
    const isNewer = own.size > log.size;
    const [older, newer] = isNewer ? [log, own] : [own, log];
    const byProof = (tile: ReadExactTile): Promise<Standing> =>
      standingByProof(tree, older, newer, tile);
    const standing =
      standingAtOnce(older, newer) ??
      (await (isNewer ? withTilesOf(path, byProof) : byProof(readTile)));
    const wrong = wrongStanding(standing, older, newer);
    if (wrong !== undefined)
      throw new Finding(wrong.status, `The archive ${path}: ${wrong.message}`);
  }
}

/** Gives the tiles of a bundle for as long as they are worked with. */
export async function withTilesOf<T>(
  path: string,
  work: (readTile: ReadExactTile) => Promise<T>,
): Promise<T> {
  const reader = await openBundle(path);
  try {
    return await work(await tilesOfBundle(reader));
  } finally {
    await reader.close();
  }
}

/** What archives have of the beginning of a log, and what is missing of it. */
export interface Coverage {
  /** One sentence for each archive. */
  checked: string[];
  /** Entries that were archived, and that no archive has that was handed in: `from` to `to - 1`. */
  missing: { from: number; to: number }[];
}

/**
 * @param archives in the order of their entries
 * @param archived what the log says of its beginning; undefined where it is all there
 */
export function coverageOf(
  archives: readonly VerifiedArchive[],
  archived: Archived | undefined,
): Coverage {
  const checked: string[] = [];
  const missing: Coverage['missing'] = [];
  const before = archived?.before ?? 0;
  let upTo = 0;
  for (const { path, from, to, sha256 } of archives) {
    if (from > upTo && upTo < before) missing.push({ from: upTo, to: Math.min(from, before) });
    upTo = Math.max(upTo, to);
    const recorded = archived?.archives.find((one) => one.first === from && one.before === to);
    checked.push(
      `entries ${from} to ${to - 1} in the archive ${path}${ofRecord(recorded, sha256)}`,
    );
  }
  if (upTo < before) missing.push({ from: upTo, to: before });
  return { checked, missing };
}

function ofRecord(recorded: RecordedArchive | undefined, sha256: string | undefined): string {
  if (recorded === undefined) return '';
  return recorded.sha256 === sha256
    ? ', with the digest that the log has on record'
    : ' (another file than the one whose digest the log has on record, with the same entries)';
}
