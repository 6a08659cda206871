/**
 * What a log says of its own beginning that is not there: entries that were archived and pruned (C2SP tlog-tiles). The last
 * entry of the kind `log.pruned` among those that were found right names all archives. Without one that covers all that is
 * missing, the log is incomplete.
 */
import { fromUtf8, toUtf8 } from '../core/tlog/bytes.ts';
import { incomplete, tampered, type Finding } from './finding.ts';

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
  #last: (Archived & { upTo: number; wrong: Finding | undefined }) | undefined;
  /** By the id of the export. What was pruned with its entries is not among them. */
  readonly #made = new Map<unknown, Made>();

  readonly see = (line: Uint8Array): void => {
    if (!isOfUse(line)) return;
    const said = read(line);
    const { kind, ref, data = {} } = said;
    if (kind === 'log.pruned') {
      const pruning = readPruning(said);
      if (pruning) this.#last = { ...pruning, wrong: contradictionIn(said, this.#made) };
    } else if (data['format'] !== 'archive') return;
    else if (kind === 'audit.exported')
      this.#made.set(ref, { from: data['from'], to: data['to'], digests: new Set() });
    else if (kind === 'audit.export_completed') this.#made.get(ref)?.digests.add(data['sha256']);
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
   * @throws Finding `incomplete` where it does not say of all of them that they were archived; `tampered` where what it says
   * of an archive is not what its export left on record
   */
  covering(begins: number, missing: number, where: (index: number) => string): Archived {
    if (this.#last === undefined || this.upTo < begins)
      throw incomplete(`${where(missing)} No entry says that it was archived.`, missing);
    const { at, archives, wrong } = this.#last;
    if (wrong !== undefined) throw wrong;
    return { before: begins, at, archives };
  }
}

/** For whoever reads. */
export function archivedInWords({ before, at, archives }: Archived): string {
  const which = archives.filter(({ first }) => first < before).map(({ sha256 }) => sha256);
  const named = `${which.length === 1 ? 'archive' : 'archives'} sha256 ${which.join(', ')}`;
  return `entries 0 to ${before - 1} were archived on ${at.slice(0, 10)} (${named}), by the word of the host, and are not checked here`;
}

const MARK = toUtf8('"kind":"');

/** Kinds stand near the beginning of entries: so much is looked at, so that not each entry has to be parsed. */
const LOOKED_AT = 1_024;

const KINDS = ['log.pruned', 'audit.exported', 'audit.export_completed'].map((kind) =>
  toUtf8(`${kind}"`),
);

/** Whether an entry may be of a kind that is of use here. */
function isOfUse(line: Uint8Array): boolean {
  const end = Math.min(line.length, LOOKED_AT) - MARK.length;
  for (let at = line.indexOf(0x22); at !== -1 && at <= end; at = line.indexOf(0x22, at + 1))
    if (hasAt(line, at, MARK) && KINDS.some((kind) => hasAt(line, at + MARK.length, kind)))
      return true;
  return false;
}

function hasAt(line: Uint8Array, at: number, text: Uint8Array): boolean {
  let length = 0;
  while (length < text.length && line[at + length] === text[length]) length += 1;
  return length === text.length;
}

interface Said {
  kind?: unknown;
  at?: unknown;
  ref?: unknown;
  data?: Record<string, unknown>;
}

// It is signed and has been found right: what it says is what the log's key stands for.
const read = (line: Uint8Array): Said => JSON.parse(fromUtf8(line) ?? '{}') as Said;

function readPruning({ at, data = {} }: Said): (Archived & { upTo: number }) | undefined {
  const { before, archives } = data;
  if (typeof at !== 'string' || typeof before !== 'number' || !Array.isArray(archives))
    return undefined;
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

/** An archive, as the entry says with which its export began, and what the entries say of its end. */
interface Made {
  from: unknown;
  to: unknown;
  digests: Set<unknown>;
}

/** What of a pruning is not as the entries in front of it say of its archives; undefined where nothing is. */
function contradictionIn(
  { data = {} }: Said,
  made: ReadonlyMap<unknown, Made>,
): Finding | undefined {
  for (const one of Array.isArray(data['archives']) ? (data['archives'] as unknown[]) : []) {
    if (!isRecorded(one)) continue;
    const id = (one as { export?: unknown }).export;
    const begun = made.get(id);
    if (begun === undefined) continue;
    const name = `the archive ${String(id)}`;
    if (begun.from !== one.first || begun.to !== one.before)
      return tampered(
        `An entry says that ${name} has the entries ${one.first} to ${one.before - 1}, and the one with which it was made says otherwise.`,
      );
    if (begun.digests.size === 0)
      return incomplete(`Entries were pruned, and none says that ${name} was made to its end.`);
    if (!begun.digests.has(one.sha256))
      return tampered(
        `An entry says that ${name} has the digest ${one.sha256}, and the one with which it was made says otherwise.`,
      );
  }
  return undefined;
}

function isRecorded(value: unknown): value is RecordedArchive {
  if (typeof value !== 'object' || value === null) return false;
  const { first, before, sha256 } = value as Partial<Record<keyof RecordedArchive, unknown>>;
  const areIndexes = Number.isSafeInteger(first) && Number.isSafeInteger(before);
  return areIndexes && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
}
