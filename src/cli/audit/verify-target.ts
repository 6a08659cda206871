/** What `audit verify` checks: an evidence bundle, a directory of tiles, or a running broker. */
import { CHECKPOINT_PATH } from '../../audit/bundle-layout.ts';
import {
  knownKeys,
  parseTrustedKeys,
  withHistory,
  type TrustedKeys,
} from '../../audit/known-keys.ts';
import { hasEntries, isTileDirectory, tileDirectory } from '../../audit/tile-directory.ts';
import { verifyBundle, type BundleReport } from '../../audit/verify-bundle.ts';
import { tree } from '../../core/audit/merkle.ts';
import { describeKey } from '../../core/audit/note.ts';
import { checkLog, openTrusted, settle, type CheckedLog } from '../../verify/check-log.ts';
import { Finding, incomplete } from '../../verify/finding.ts';
import type { ReadExactTile } from '../../verify/check-tiles.ts';
import { tilesFrom, type LogSource } from '../../verify/log-source.ts';
import type { RememberedHistory } from '../../verify/trusted-keys.ts';
import type { Surroundings } from '../surroundings.ts';
import { trustedKeys, type KeyOptions } from './bundle-key.ts';
import { fetchCheckpoint, fetchKeyHistory, isUrl, openHttpLog, openSource } from './http-log.ts';
import {
  keepConflict,
  lastSeen,
  readKept,
  remember,
  rememberedHistory,
  type Seen,
} from './seen-checkpoints.ts';
import { coverageOf, mustBeOfOneLog, verifyArchives, withTilesOf } from './verify-archives.ts';
import { heedWitnesses, policyOf, type WitnessOptions } from './witness-options.ts';

export interface TargetOptions extends KeyOptions, WitnessOptions {
  profile?: string;
  /** Archives of what was pruned. */
  archive?: string[];
  /** `--hashes-only`: entries are not asked for. */
  hashesOnly?: boolean;
  /** `--entries`: without entries nothing is said to be sound. */
  entries?: boolean;
  /** `--all-entries`: archived entries are to be checked, too. */
  allEntries?: boolean;
}

/** What was found, and what else there is to say. */
export interface Verified {
  report: BundleReport & CheckedLog;
  target: 'bundle' | 'directory' | 'broker' | 'archives';
  /** Entries that were archived, and are in no archive that was handed in. */
  notChecked?: { from: number; to: number }[];
  /** Why hashes alone were checked; undefined where the entries were, too. */
  withoutEntries?: string;
  /** Where the proof is kept that the log was shown in two versions. */
  conflict?: string;
  /** For whoever reads: what was not done, and why. */
  notes: string[];
}

/** Verifies whatever it is. Never rejects. */
export async function verifyTarget(
  around: Surroundings,
  target: string | undefined,
  options: TargetOptions,
): Promise<Verified> {
  if (target === undefined) return verifyAlone(around, options);
  const kind = isUrl(target) ? 'broker' : isTileDirectory(target) ? 'directory' : 'bundle';
  const report: Verified['report'] = { status: 'sound', entriesChecked: 0, checked: [] };
  const verified: Verified = { report, target: kind, notes: [] };
  try {
    const policy = policyOf(options);
    const given = await trustedKeys(around, kind === 'bundle' ? target : undefined, options);
    const keys = remembering(around, given, verified);
    if (kind === 'bundle' && options.hashesOnly === true)
      verified.notes.push('--hashes-only is not for bundles: all of it is checked.');
    const history = await (kind === 'bundle'
      ? verifyAsBundle(around, target, keys, verified)
      : verifyAsLog(around, target, keys, options, verified));
    if (options.archive !== undefined)
      await withArchives(options.archive, withHistory(keys, history), verified, (work) =>
        kind === 'bundle'
          ? withTilesOf(target, work)
          : work(tilesFrom(isUrl(target) ? openSource(target) : tileDirectory(target))),
      );
    if (options.allEntries === true) mustHaveAll(verified);
    if (policy !== undefined) heedWitnesses(verified.report, policy);
  } catch (error) {
    settle(verified.report, couldNotRun(error));
  }
  return verified;
}

/** What a log said of its keys before must not change either. */
function remembering({ env }: Surroundings, keys: TrustedKeys, { notes }: Verified): TrustedKeys {
  const remembered = (origin: string): RememberedHistory | undefined => {
    const { history, useless } = rememberedHistory(env, origin);
    if (useless !== undefined && !notes.includes(useless)) notes.push(useless);
    return history;
  };
  return { ...keys, remembered };
}

/** Archives without the log that they are of: nothing is said of the entries that none of them has. */
async function verifyAlone(around: Surroundings, options: TargetOptions): Promise<Verified> {
  const report: Verified['report'] = { status: 'sound', entriesChecked: 0, checked: [] };
  const verified: Verified = { report, target: 'archives', notes: [] };
  try {
    const [first] = options.archive ?? [];
    if (first === undefined)
      throw new Error('Say what to check: a bundle, a directory, a URL, or --archive FILE.');
    const keys = remembering(around, await trustedKeys(around, first, options), verified);
    const archives = await verifyArchives(options.archive ?? [], keys);
    const newest = archives.reduce((one, other) =>
      (other.report.size ?? 0) > (one.report.size ?? 0) ? other : one,
    );
    const { origin, size, root, checkpoint = '' } = newest.report;
    await withTilesOf(newest.path, (readTile) =>
      mustBeOfOneLog(archives, { note: checkpoint, readTile }),
    );
    Object.assign(report, { origin, size, root, checkpoint });
    report.checked.push(`checkpoints of ${archives.length} archives signed by the log`);
    report.checked.push(...coverageOf(archives, undefined).checked);
    report.entriesChecked = archives.reduce((sum, one) => sum + one.report.entriesChecked, 0);
  } catch (error) {
    settle(report, couldNotRun(error));
  }
  return verified;
}

/** @throws Finding `incomplete` where entries were archived that are in no archive that was handed in */
function mustHaveAll({ report, notChecked }: Verified): void {
  const { status, archived } = report;
  if (status !== 'sound' || archived === undefined) return;
  const [missing] = notChecked ?? [{ from: 0, to: archived.before }];
  if (missing === undefined) return;
  throw incomplete(
    `The entries ${missing.from} to ${missing.to - 1} were archived, and are in no archive that was handed in (--archive).`,
    missing.from,
  );
}

/** Archives beside the log that they are of. */
async function withArchives(
  paths: readonly string[],
  keys: TrustedKeys,
  verified: Verified,
  withTiles: (work: (readTile: ReadExactTile) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { report } = verified;
  if (report.status !== 'sound') {
    verified.notes.push(
      'The archives were not looked at: what they are held against is not sound.',
    );
    return;
  }
  const archives = await verifyArchives(paths, keys);
  await withTiles((readTile) =>
    mustBeOfOneLog(archives, { note: report.checkpoint ?? '', readTile }),
  );
  const { checked, missing } = coverageOf(archives, report.archived);
  // They are checked here after all.
  if (report.archived !== undefined && missing.length === 0) report.checked.pop();
  report.checked.push(...checked);
  verified.notChecked = missing;
}

/**
 * A bundle may be of an earlier moment than what was seen, and is not remembered: it says what was, not what is.
 *
 * @returns the history of the keys that it carries
 */
async function verifyAsBundle(
  { env }: Surroundings,
  path: string,
  keys: TrustedKeys,
  verified: Verified,
): Promise<string | undefined> {
  let before: Seen | undefined;
  const found = await verifyBundle(path, keys, undefined, (origin, known) => {
    before = lastSeen(env, origin, known, parseTrustedKeys(keys));
    return before.checkpoint;
  });
  const { keyHistory, ...report } = found;
  verified.report = report;
  if (before !== undefined) heedLeftOut(verified, before);
  return keyHistory;
}

/** What was seen before and cannot be compared may have shown a fork: without that, nothing is said to be sound. */
function heedLeftOut({ report, notes }: Verified, { useless, isLeftOut }: Seen): void {
  if (useless === undefined) return;
  if (isLeftOut && report.status === 'sound') settle(report, incomplete(useless));
  else notes.push(useless);
}

/** @returns the history of the keys that the log offers */
async function verifyAsLog(
  around: Surroundings,
  target: string,
  keys: TrustedKeys,
  options: TargetOptions,
  verified: Verified,
): Promise<string | undefined> {
  const { env, clock } = around;
  // First: a check that runs beside this one may keep a newer checkpoint than the one that is answered here. A key has the
  // name of its log.
  const kept = new Map(keys.keys.map(nameOf).map((name) => [name, readKept(env, name)]));
  const checkpoint = await readCheckpoint(target);
  const history = await readKeyHistory(target);
  const known = knownKeys(keys, checkpoint, { offered: history });
  // The signature first: what the log says of itself counts for nothing before, its name included.
  const { checkpoint: signed, key } = openTrusted(checkpoint, known, verified.report);
  const { origin, size } = signed;
  if (!keys.keys.includes(key.verifierKey))
    verified.notes.push(
      `It is signed by another key than the one that you gave, ${describeKey(key)}, which is the log's by the history of its keys.`,
    );
  const trusted = parseTrustedKeys(keys);
  const before = lastSeen(env, origin, known, trusted, kept.get(origin));
  // What somebody copied may be of an earlier moment, as a bundle may; a running log may not.
  const isOfBefore =
    !isUrl(target) && before.checkpoint !== undefined && before.checkpoint.size > size;
  if (isOfBefore)
    verified.notes.push(
      `It is of an earlier moment: it has ${size} entries, and by a checkpoint that was seen before the log had ${before.checkpoint?.size}. Whether the log goes on from it is not looked at here.`,
    );
  const { source, withoutEntries } = await openLog(around, target, size, options);
  if (withoutEntries !== undefined) {
    if (options.entries === true || options.allEntries === true)
      throw new Error(`The entries cannot be checked: ${withoutEntries}.`);
    verified.withoutEntries = withoutEntries;
  }
  const report = await checkLog(tree, source, {
    checkpoint,
    keys: known,
    entries: withoutEntries === undefined,
    seen: isOfBefore ? undefined : before.checkpoint,
  });
  verified.report = report;
  heedLeftOut(verified, before);
  const { standing } = report;
  const note = Buffer.from(checkpoint).toString('utf8');
  if (before.note !== undefined && (standing === 'fork' || standing === 'rollback')) {
    const conflict = { origin, standing, target, foundAt: clock(), seen: before.note, now: note };
    const { path, problem } = keepConflict(env, conflict);
    if (problem === undefined) verified.conflict = path;
    else verified.notes.push(problem);
  } else if (report.status === 'sound' && before.useless === undefined) {
    const problem = await remember(env, origin, { note, history }, known, trusted);
    if (problem !== undefined)
      verified.notes.push(`${problem} The next check has nothing to compare with.`);
  }
  return history;
}

/** Of a verifier key, whether it is one or not: `NAME+ID+KEY`. */
const nameOf = (key: string): string => key.slice(0, Math.max(0, key.indexOf('+')));

interface OpenedLog {
  source: LogSource;
  withoutEntries: string | undefined;
}

async function openLog(
  around: Surroundings,
  target: string,
  size: number,
  { profile, hashesOnly }: TargetOptions,
): Promise<OpenedLog> {
  const asked = hashesOnly === true ? 'you asked for hashes only' : undefined;
  if (isUrl(target)) return openHttpLog(around, target, profile, size, asked);
  const there = hasEntries(target) ? undefined : 'the directory has none';
  return { source: tileDirectory(target), withoutEntries: asked ?? there };
}

async function readCheckpoint(target: string): Promise<Uint8Array> {
  if (isUrl(target)) return fetchCheckpoint(target);
  const found = await tileDirectory(target).read(CHECKPOINT_PATH);
  if (found === undefined) throw incomplete(`${CHECKPOINT_PATH} is missing.`);
  return found;
}

/** The document that says which keys the log has had; undefined where there is none, as for a mirror that has not kept it. */
async function readKeyHistory(target: string): Promise<string | undefined> {
  if (isUrl(target)) return fetchKeyHistory(target);
  const found = await tileDirectory(target).read('keys');
  return found && Buffer.from(found).toString('utf8');
}

/** What people are told of a wrong option, a broker out of reach or a key that is none is a sentence already. */
function couldNotRun(error: unknown): Finding {
  if (error instanceof Finding) return error;
  return new Finding('could_not_run', error instanceof Error ? error.message : String(error));
}
