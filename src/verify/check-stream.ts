/** Checks entries that come as a stream of their own, beside the tiles: JSON lines, or a table of somebody's. */
import { TILE_WIDTH, tileWidth } from '../core/tlog/tiles.ts';
import type { Tree } from '../core/tlog/tree.ts';
import { PruningsSaid, archivedInWords } from './archived.ts';
import {
  checkEntries,
  type EntriesProgress,
  type EntryBlocks,
  type EntryRange,
} from './check-entries.ts';
import {
  openTrusted,
  rangeChecked,
  settle,
  withPrunings,
  type LogCheck,
  type LogReport,
} from './check-log.ts';
import { checkTiles } from './check-tiles.ts';
import { mustHoldSteps } from './compare.ts';
import { incomplete, tampered } from './finding.ts';
import { ownPlace } from './own-place.ts';
import { tilesFrom, type LogSource } from './log-source.ts';

/**
 * Exact bytes of entries, in the order of the log, in pieces of any number: from index 0 on or, of a log that was pruned, from
 * its first entry on.
 */
export type EntryStream = Iterable<readonly Uint8Array[]> | AsyncIterable<readonly Uint8Array[]>;

/**
 * Checks a stream of entries against a log's checkpoint and hash tiles.
 *
 * @returns never rejects: what prevents the verification is a report `could_not_run`
 */
export async function checkStream(
  tree: Tree,
  entries: EntryStream,
  source: LogSource,
  { checkpoint, keys, onEntry = () => undefined }: Omit<LogCheck, 'entries' | 'seen'>,
): Promise<LogReport> {
  const report: LogReport = { status: 'sound', entriesChecked: 0, checked: [] };
  const progress: EntriesProgress = { matching: 0, onEntry };
  try {
    const { checkpoint: signed } = openTrusted(checkpoint, keys, report);
    const readTile = tilesFrom(source);
    const tiles = await checkTiles(tree, readTile, signed.size, signed.root);
    if (tiles.problem === undefined) {
      report.checked.push(`${tiles.count} hash tiles up to the signed root`);
      await mustHoldSteps(tree, keys, signed, readTile);
    }
    const { size } = signed;
    const { from, all } = await beginningOf(entries, size);
    const said = new PruningsSaid();
    const watched = withPrunings(progress, from, said);
    const range = { from, to: size };
    try {
      await checkEntries(tree, inBlocks(all, range), signed, tiles, watched, range);
    } finally {
      progress.matching = watched.matching;
    }
    report.checked.push(rangeChecked(range));
    if (from > 0) {
      report.archived = said.covering(from, said.upTo, (index) => `Entry ${index} is missing.`);
      report.checked.push(archivedInWords(report.archived));
    }
  } catch (error) {
    settle(report, error);
  }
  report.entriesChecked = progress.matching;
  return report;
}

/** Where a stream begins by what its first entry says of itself: at 0, unless that is the beginning of a tile. */
async function beginningOf(
  entries: EntryStream,
  size: number,
): Promise<{ from: number; all: EntryStream }> {
  const pieces = iteratorOf(entries);
  const seen: (readonly Uint8Array[])[] = [];
  let first: Uint8Array | undefined;
  while (first === undefined) {
    const { done, value } = await pieces.next();
    if (done === true) break;
    seen.push(value);
    [first] = value;
  }
  const index = first && ownPlace(first)?.index;
  const isOne = typeof index === 'number' && index > 0 && index < size && index % TILE_WIDTH === 0;
  async function* all(): AsyncGenerator<readonly Uint8Array[]> {
    yield* seen;
    yield* { [Symbol.asyncIterator]: () => pieces };
  }
  return { from: isOne ? index : 0, all: all() };
}

async function* iteratorOf(entries: EntryStream): AsyncGenerator<readonly Uint8Array[]> {
  yield* entries;
}

/** The same entries, as many at a time as their tile has. Throws a Finding where there are too few, or too many. */
async function* inBlocks(
  entries: EntryStream,
  { from, to: size }: EntryRange,
): EntryBlocks & AsyncGenerator {
  let block: Uint8Array[] = [];
  let index = from;
  for await (const piece of entries) {
    for (const entry of piece) {
      if (index === size) throw tampered(`The stream goes on after entry ${size - 1}.`, size);
      block.push(entry);
      index += 1;
      if (block.length === tileWidth(size, 0, Math.floor((index - 1) / TILE_WIDTH))) {
        yield block;
        block = [];
      }
    }
  }
  if (block.length > 0) yield block;
  if (index < size) throw incomplete(`The stream ends before entry ${index}.`, index);
}
