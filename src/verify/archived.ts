/**
 * What a log says of its own beginning that is not there: entries that were archived and pruned (C2SP tlog-tiles). The last
 * entry of the kind `log.pruned` among those that were found right names all archives. Without one that covers all that is
 * missing, the log is incomplete.
 */
import { fromUtf8, toUtf8 } from '../core/tlog/bytes.ts';
import { incomplete } from './finding.ts';

/** An archive, as the log has it on record: a bundle of the entries `first` to `before - 1`. */
export interface RecordedArchive {
  first: number;
  before: number;
  /** Of the bundle, hex. */
  sha256: string;
}

/** Entries that were archived. */
export interface Archived {
  /** Those below this index are not here. */
  before: number;
  /** When the last of them were pruned, RFC 3339. */
  at: string;
  archives: RecordedArchive[];
}

/** Looks for what entries say of a pruning. Only of those that were found right. */
export class PruningsSaid {
  #last: (Archived & { upTo: number }) | undefined;

  readonly see = (line: Uint8Array): void => {
    if (isPruning(line)) this.#last = read(line) ?? this.#last;
  };

  /** In front of this index, the log says that its entries were archived. */
  get upTo(): number {
    return this.#last?.upTo ?? 0;
  }

  /**
   * What the log says of the entries in front of the first that is there.
   *
   * @param begins index of that
   * @param missing index of the first that is missing of those of which it does not say so
   * @throws Finding `incomplete` where it does not say of all of them that they were archived
   */
  covering(begins: number, missing: number, where: (index: number) => string): Archived {
    if (this.#last === undefined || this.upTo < begins)
      throw incomplete(`${where(missing)} No entry says that it was archived.`, missing);
    const { at, archives } = this.#last;
    return { before: begins, at, archives };
  }
}

/** For whoever reads. */
export function archivedInWords({ before, at, archives }: Archived): string {
  const which = archives.filter(({ first }) => first < before).map(({ sha256 }) => sha256);
  const named = `${which.length === 1 ? 'archive' : 'archives'} sha256 ${which.join(', ')}`;
  return `entries 0 to ${before - 1} were archived on ${at.slice(0, 10)} (${named}), and are not checked here`;
}

const MARK = toUtf8('"kind":"log.pruned"');

/** Kinds stand near the beginning of entries: so much is looked at, so that not each entry has to be parsed. */
const LOOKED_AT = 1_024;

function isPruning(line: Uint8Array): boolean {
  const end = Math.min(line.length, LOOKED_AT) - MARK.length;
  for (let at = line.indexOf(0x22); at !== -1 && at <= end; at = line.indexOf(0x22, at + 1)) {
    let length = 1;
    while (length < MARK.length && line[at + length] === MARK[length]) length += 1;
    if (length === MARK.length) return true;
  }
  return false;
}

function read(line: Uint8Array): (Archived & { upTo: number }) | undefined {
  // It is signed and has been found right: what it says is what the log's key stands for.
  const { kind, at, data } = JSON.parse(fromUtf8(line) ?? 'null') as Partial<{
    kind: unknown;
    at: unknown;
    data: Partial<{ before: unknown; archives: unknown }>;
  }>;
  if (kind !== 'log.pruned' || typeof at !== 'string') return undefined;
  const { before, archives } = data ?? {};
  if (typeof before !== 'number' || !Array.isArray(archives)) return undefined;
  const recorded = archives.filter(isRecorded).map(({ first, before: end, sha256 }) => ({
    first,
    before: end,
    sha256,
  }));
  // They follow each other from 0 on: an entry that says less covers less.
  let upTo = 0;
  for (const one of recorded) if (one.first === upTo) upTo = one.before;
  return { upTo: Math.min(upTo, before), before, at, archives: recorded };
}

function isRecorded(value: unknown): value is RecordedArchive {
  if (typeof value !== 'object' || value === null) return false;
  const { first, before, sha256 } = value as Partial<Record<keyof RecordedArchive, unknown>>;
  const areIndexes = Number.isSafeInteger(first) && Number.isSafeInteger(before);
  return areIndexes && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
}
