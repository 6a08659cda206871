/** Verifies a log in the layout of C2SP tlog-tiles: as a server serves it, or as a mirror holds it. */
import { NoteError, describeKey } from '../core/audit/note.ts';
import { fromUtf8, toBase64 } from '../core/tlog/bytes.ts';
import {
  CheckpointError,
  openSigned,
  type Checkpoint,
  type LogKey,
} from '../core/tlog/checkpoint.ts';
import { TILE_WIDTH, tilePath, tileWidth } from '../core/tlog/tiles.ts';
import type { Tree } from '../core/tlog/tree.ts';
import { PruningsSaid, archivedInWords, type Archived } from './archived.ts';
import { checkEntries, type EntriesProgress, type EntryRange } from './check-entries.ts';
import { checkTiles, type TilesVerdict } from './check-tiles.ts';
import {
  mustHoldSteps,
  standingAtOnce,
  standingByProof,
  wrongStanding,
  type Standing,
} from './compare.ts';
import { asFinding, tampered, type VerificationStatus } from './finding.ts';
import {
  entriesFrom,
  firstEntryOf,
  firstMissingFrom,
  tilesFrom,
  type LogSource,
} from './log-source.ts';

/** What a verification found. */
export interface LogReport {
  status: VerificationStatus;
  /** The log, by its checkpoint. Like size and root undefined until the checkpoint's signature was found good. */
  origin?: string;
  /** Entries by the checkpoint. */
  size?: number;
  /** The signed root, in base64 as in the checkpoint. */
  root?: string;
  /** The signed note itself, cosignatures and all. */
  checkpoint?: string;
  /**
   * The beginning of the log that is not there, and of which the log says that it was archived. Undefined where every entry
   * was looked at, or none.
   */
  archived?: Archived;
  /** Entries whose bytes were found right. */
  entriesChecked: number;
  /** The first entry that is wrong, or missing. Undefined when no single entry is to blame. */
  firstBadIndex?: number;
  /** One sentence or two that say what is wrong and where. Undefined when sound. */
  problem?: string;
  /** What was checked and found right, in order. */
  checked: string[];
}

/** What a log is checked with, besides its tiles. */
export interface LogCheck {
  /** The signed checkpoint that says what the log is. */
  checkpoint: Uint8Array | string;
  /** Keys that the caller trusts to be the log's. */
  keys: readonly LogKey[];
  /** Whether the entries are read, or their hashes alone. */
  entries: boolean;
  /** A checkpoint of the same log that was seen before, its signature found good. */
  seen?: Checkpoint | undefined;
  /** Is given each entry that was found right, in order. Counts for nothing unless the report says `sound`. */
  onEntry?: (bytes: Uint8Array) => void;
}

/** The report, and how the checkpoint stands to the one that was seen before. */
export interface CheckedLog extends LogReport {
  /** Undefined without a checkpoint seen before, or where the check did not get so far. */
  standing?: Standing;
}

/**
 * Checks a log. The signature first, for nothing else counts without it; then that it continues what was seen before,
 * the tiles up to the signed root, and every entry.
 *
 * @returns never rejects: what prevents the verification is a report `could_not_run`
 */
export async function checkLog(
  tree: Tree,
  source: LogSource,
  { checkpoint, keys, entries, seen, onEntry = () => undefined }: LogCheck,
): Promise<CheckedLog> {
  const report: CheckedLog = { status: 'sound', entriesChecked: 0, checked: [] };
  const progress: EntriesProgress = { matching: 0, onEntry };
  try {
    const { checkpoint: signed } = openTrusted(checkpoint, keys, report);
    const readTile = tilesFrom(source);
    const stands = (standing: Standing | undefined): void => {
      if (seen === undefined || standing === undefined) return;
      report.standing = standing;
      const wrong = wrongStanding(standing, seen, signed);
      if (wrong !== undefined) throw wrong;
      report.checked.push(`continues the checkpoint of ${seen.size} entries that was seen before`);
    };
    const atOnce = seen && standingAtOnce(seen, signed);
    stands(atOnce);
    const tiles = await checkTiles(tree, readTile, signed.size, signed.root);
    if (tiles.problem === undefined) {
      report.checked.push(`${tiles.count} hash tiles up to the signed root`);
      await mustHoldSteps(tree, keys, signed, readTile);
      if (seen !== undefined && atOnce === undefined)
        stands(await standingByProof(tree, seen, signed, readTile));
    }
    if (entries) {
      await checkEntriesThere(tree, source, signed, tiles, progress, report);
    } else if (tiles.problem !== undefined) throw tampered(tiles.problem.problem);
  } catch (error) {
    settle(report, error);
  }
  report.entriesChecked = progress.matching;
  return report;
}

/** The entries from the first that is there on; in front of it, the log has to say itself that it was pruned. */
async function checkEntriesThere(
  tree: Tree,
  source: LogSource,
  signed: Checkpoint,
  tiles: TilesVerdict,
  progress: EntriesProgress,
  report: LogReport,
): Promise<void> {
  const { size } = signed;
  const from = await firstEntryOf(source, size);
  const said = new PruningsSaid();
  const watched = withPrunings(progress, from, said);
  try {
    await checkEntries(tree, entriesFrom(source, size, from), signed, tiles, watched, {
      from,
      to: size,
    });
  } finally {
    progress.matching = watched.matching;
  }
  report.checked.push(rangeChecked({ from, to: size }));
  if (from === 0) return;
  report.archived = await coveringOf(said, source, from, size);
  report.checked.push(archivedInWords(report.archived));
}

async function coveringOf(
  said: PruningsSaid,
  source: LogSource,
  from: number,
  size: number,
): Promise<Archived> {
  const first = await firstMissingFrom(source, size, said.upTo);
  return said.covering(from, first, (index) => {
    const n = Math.floor(index / TILE_WIDTH);
    return `${tilePath({ level: 'entries', n, width: tileWidth(size, 0, n) })} is missing.`;
  });
}

/** The same, and what entries say of prunings is kept, where any can be missing. */
export function withPrunings(
  progress: EntriesProgress,
  from: number,
  said: PruningsSaid,
): EntriesProgress {
  if (from === 0) return progress;
  return {
    matching: progress.matching,
    onEntry: (bytes) => {
      said.see(bytes);
      progress.onEntry(bytes);
    },
  };
}

/** What is said of entries that were found right. */
export function rangeChecked({ from, to }: EntryRange): string {
  const which = from === 0 ? '' : ` from ${from} on`;
  return `${to - from} entries${which} up to the signed root, each with its own index and log`;
}

/**
 * The checkpoint, if one of the keys signed it, and which; what it says goes into the report.
 *
 * @throws Finding `tampered` otherwise
 */
export function openTrusted(
  note: Uint8Array | string,
  keys: readonly LogKey[],
  report: LogReport,
): { checkpoint: Checkpoint; key: LogKey } {
  let opened: ReturnType<typeof openSigned>;
  try {
    opened = openSigned(note, keys);
  } catch (error) {
    if (!(error instanceof NoteError || error instanceof CheckpointError)) throw error;
    throw tampered(`The checkpoint is not to be trusted. ${error.message}`);
  }
  const { checkpoint, key } = opened;
  report.origin = checkpoint.origin;
  report.size = checkpoint.size;
  report.root = toBase64(checkpoint.root);
  report.checkpoint = typeof note === 'string' ? note : (fromUtf8(note) ?? '');
  report.checked.push(`checkpoint of ${checkpoint.size} entries signed by ${describeKey(key)}`);
  return opened;
}

/** Writes what ended a verification into its report. */
export function settle(report: LogReport, error: unknown): void {
  const { status, message, firstBadIndex } = asFinding(error);
  report.status = status;
  report.problem = message;
  if (firstBadIndex !== undefined) report.firstBadIndex = firstBadIndex;
}
