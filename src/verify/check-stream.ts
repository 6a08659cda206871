/** Checks entries that come as a stream of their own, beside the tiles: JSON lines, or a table of somebody's. */
import { TILE_WIDTH, tileWidth } from '../core/tlog/tiles.ts';
import type { Tree } from '../core/tlog/tree.ts';
import { checkEntries, type EntriesProgress, type EntryBlocks } from './check-entries.ts';
import { openTrusted, settle, type LogCheck, type LogReport } from './check-log.ts';
import { checkTiles } from './check-tiles.ts';
import { incomplete, tampered } from './finding.ts';
import { tilesFrom, type LogSource } from './log-source.ts';

/** Exact bytes of entries, in the order of the log from index 0 on, in pieces of any number. */
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
    const tiles = await checkTiles(tree, tilesFrom(source), signed.size, signed.root);
    if (tiles.problem === undefined) {
      report.checked.push(`${tiles.count} hash tiles up to the signed root`);
    }
    await checkEntries(tree, inBlocks(entries, signed.size), signed, tiles, progress);
    report.checked.push(
      `${signed.size} entries up to the signed root, each with its own index and log`,
    );
  } catch (error) {
    settle(report, error);
  }
  report.entriesChecked = progress.matching;
  return report;
}

/** The same entries, as many at a time as their tile has. Throws a Finding where there are too few, or too many. */
async function* inBlocks(entries: EntryStream, size: number): EntryBlocks & AsyncGenerator {
  let block: Uint8Array[] = [];
  let index = 0;
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
