/** Checks a bundle's entries one by one against the leaf hashes, and together against the signed root. */
import type { Checkpoint } from '../core/audit/checkpoint.ts';
import { createRootAccumulator, HASH_BYTES, leafHash } from '../core/audit/merkle.ts';
import { TILE_WIDTH, tilePath } from '../core/audit/tiles.ts';
import { bundleEntriesFiles, type BundleEntriesFile } from './bundle-layout.ts';
import type { BundleReader } from './bundle-reader.ts';
import { explainMismatch, isJson, ownPlace, type Misfit } from './explain-mismatch.ts';
import { expectFile } from './expected-file.ts';
import { Finding, incomplete, tampered } from './finding.ts';
import { LineTooLong, createLineSplitter } from './line-splitter.ts';
import type { TilesVerdict } from './verify-tiles.ts';

/** How far the check of the entries got; filled in as it goes, so that it is right when a Finding is thrown. */
export interface EntriesProgress {
  /** Entries found right: by their leaf hashes in the tiles or, where tiles were changed, by the root of all. */
  matching: number;
  /** Told of each entry that is found right, unless tiles are in doubt. */
  onEntry(bytes: Buffer): void;
}

/**
 * Reads all entries in order. Holds one line and one tile.
 *
 * When the tiles do not reach the root, it goes on past the first mismatch: if the entries reach it, they
 * are right and a tile was changed.
 *
 * @throws Finding naming the first entry that is wrong or missing, or the tile that was changed
 */
export async function checkEntries(
  reader: BundleReader,
  checkpoint: Checkpoint,
  tiles: TilesVerdict,
  progress: EntriesProgress,
): Promise<void> {
  const { size, root, origin } = checkpoint;
  const accumulator = createRootAccumulator();
  const hashes = leafHashes(tiles);
  let misfit: Misfit | undefined;
  let explained: Finding | undefined;

  const checkLine = async (index: number, line: Buffer): Promise<void> => {
    const hash = leafHash(line);
    accumulator.add(hash);
    if (misfit !== undefined) {
      if (tiles.problem !== undefined) return;
      // The line after the misfit tells a removed entry from an exchanged one.
      explained = await explainMismatch(misfit, line, size, hashes);
      throw explained;
    }
    if (!hash.equals(await hashes(index))) {
      misfit = { index, line };
      return;
    }
    progress.matching += 1;
    // While tiles are in doubt, a leaf hash that fits does not show that the entry was signed.
    if (tiles.problem !== undefined) return;
    assertOwnPlace(line, index, origin);
    progress.onEntry(line);
  };

  try {
    for (const file of bundleEntriesFiles(size)) {
      await readEntriesFile(reader, file, size, hashes, checkLine);
    }
  } catch (error) {
    // What was changed comes before what is missing, or damaged, after it.
    if (!(error instanceof Finding) || error === explained) throw error;
    if (tiles.problem !== undefined && error.status === 'incomplete') {
      throw tampered(`${tiles.problem.problem} Besides: ${error.message}`, error.firstBadIndex);
    }
    if (misfit === undefined || tiles.problem !== undefined) throw error;
    throw await explainMismatch(misfit, undefined, size, hashes);
  }

  const reached = accumulator.root().equals(root);
  if (tiles.problem !== undefined) {
    if (reached) progress.matching = size;
    throw blame(tiles.problem, reached, misfit?.index, size);
  }
  if (misfit !== undefined) throw await explainMismatch(misfit, undefined, size, hashes);
  // Only if the files changed under our hands: every leaf hash was right when it was read.
  if (!reached) throw tampered('The entries do not hash to the signed root.');
}

/** What is signed may still be wrong: the log itself put the entry where it does not belong. */
export function assertOwnPlace(line: Buffer, index: number, origin: string): void {
  const place = ownPlace(line);
  if (place?.index === index && place.log === origin) return;
  throw tampered(
    `Entry ${index} is signed, but says of itself that it is entry ${JSON.stringify(place?.index)} of ${JSON.stringify(place?.log)}: the log was kept wrongly.`,
    index,
  );
}

/** Reads one file of entries. Throws a Finding when it does not hold exactly its entries' lines. */
async function readEntriesFile(
  reader: BundleReader,
  { path, first, count }: BundleEntriesFile,
  size: number,
  hashes: LeafHashes,
  checkLine: (index: number, line: Buffer) => Promise<void>,
): Promise<void> {
  const file = await expectFile(reader, path, size, first);
  const end = first + count;
  const splitter = createLineSplitter();
  let index = first;
  try {
    for await (const piece of file.body()) {
      for (const line of splitter.push(piece)) {
        if (index === end) throw tampered(`${path} goes on after entry ${end - 1}.`, end);
        await checkLine(index, line);
        index += 1;
      }
    }
  } catch (error) {
    if (error instanceof LineTooLong) {
      throw tampered(`Entry ${index} was changed: its line in ${path} is too long.`, index);
    }
    // The archive ended inside the file: the reader knows where, and here it is known what is lost.
    if (error instanceof Finding && error.status === 'incomplete') {
      throw incomplete(`${error.message} The first entry that is lost is ${index}.`, index);
    }
    throw error;
  }

  const rest = splitter.rest();
  if (index === end) {
    if (rest.length === 0) return;
    throw tampered(`${path} goes on after entry ${end - 1}.`, end);
  }
  if (rest.length > 0) {
    // Bytes without a newline after them: a line that was cut, unless all of the entry is there.
    const whole = leafHash(rest.subarray(0, -1)).equals(await hashes(index));
    if (whole || isJson(rest)) {
      throw tampered(`Entry ${index} was changed: its line in ${path} does not end.`, index);
    }
  }
  throw incomplete(`${path} is cut short: it ends before the end of entry ${index}.`, index);
}

function blame(
  { problem, upperTile }: NonNullable<TilesVerdict['problem']>,
  entriesReachRoot: boolean,
  firstMismatch: number | undefined,
  size: number,
): Finding {
  if (!entriesReachRoot) {
    const where =
      firstMismatch === undefined
        ? 'every entry fits them'
        : `entry ${firstMismatch} is the first that does not fit them`;
    return tampered(
      `${problem} Neither do the entries hash to the signed root, so entries were changed as well as tiles: ${where}.`,
      firstMismatch,
    );
  }
  // Right entries show which leaf hashes are wrong; if none is, the lowest contradiction is the upper tile's.
  const changed =
    firstMismatch === undefined ? (upperTile ?? 'a hash tile') : leafTilePath(firstMismatch, size);
  return tampered(
    `The hash tile ${changed} was changed; all ${size} entries are as they were signed.`,
  );
}

function leafTilePath(index: number, size: number): string {
  const n = Math.floor(index / TILE_WIDTH);
  return tilePath({ level: 0, n, width: Math.min(TILE_WIDTH, size - n * TILE_WIDTH) });
}

/** Gives the leaf hash of an entry as it stands in the tiles. */
type LeafHashes = (index: number) => Promise<Buffer>;

/** Holds the tile that was asked for last: entries come in order. */
function leafHashes(tiles: TilesVerdict): LeafHashes {
  let held: { n: number; tile: Buffer } | undefined;
  return async (index) => {
    const n = Math.floor(index / TILE_WIDTH);
    if (held?.n !== n) held = { n, tile: await tiles.leafHashes(n) };
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return held.tile.subarray(at, at + HASH_BYTES);
  };
}
