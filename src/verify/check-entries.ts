/** Checks a log's entries, tile by tile, against the leaf hashes, and together against the signed root. */
import { equalBytes } from '../core/tlog/bytes.ts';
import type { Checkpoint } from '../core/tlog/checkpoint.ts';
import { TILE_WIDTH, tilePath, tileRoot, tileWidth } from '../core/tlog/tiles.ts';
import { HASH_BYTES, type RootAccumulator, type Tree } from '../core/tlog/tree.ts';
import type { TilesVerdict } from './check-tiles.ts';
import { explainMismatch, type LeafHashAt, type Misfit } from './explain-mismatch.ts';
import { Finding, tampered } from './finding.ts';
import { placeCheck } from './own-place.ts';

/** How far the check of the entries got; filled in as it goes, so that it is right when a Finding is thrown. */
export interface EntriesProgress {
  /** Entries found right: by their leaf hashes in the tiles or, where tiles were changed, by the root of all. */
  matching: number;
  /** Told of each entry that is found right, unless tiles are in doubt. */
  onEntry: (bytes: Uint8Array) => void;
}

/**
 * The entries of one tile after another, from the first that is to be checked on: as many as the tile has hashes, each as its exact bytes. Where
 * some are missing, it gives those in front of them, and throws a Finding.
 */
export type EntryBlocks = AsyncIterable<readonly Uint8Array[]>;

/** The entries `from` to `to - 1`: `from` is a multiple of 256, and `to` as well, or the log's size. */
export interface EntryRange {
  from: number;
  to: number;
}

/**
 * Reads all entries in order, or those of a range. Holds those of one tile.
 *
 * When the tiles do not reach the root, it goes on past the first mismatch: if the entries reach it, they
 * are right and a tile was changed.
 *
 * @throws Finding naming the first entry that is wrong or missing, or the tile that was changed
 */
export async function checkEntries(
  tree: Tree,
  blocks: EntryBlocks,
  checkpoint: Checkpoint,
  tiles: TilesVerdict,
  progress: EntriesProgress,
  range: EntryRange = { from: 0, to: checkpoint.size },
): Promise<void> {
  const check = new EntryCheck(tree, checkpoint, tiles, progress, range);
  try {
    for await (const lines of blocks) await check.add(lines);
  } catch (error) {
    throw await check.givenUp(error);
  }
  await check.end();
}

/** Gives leaf hashes out of the tiles, to explain what does not fit. Holds the tile that was asked for last. */
export function leafHashesOf(tiles: TilesVerdict): LeafHashAt {
  let held: { n: number; tile: Uint8Array } | undefined;
  return async (index) => {
    const n = Math.floor(index / TILE_WIDTH);
    if (held?.n !== n) held = { n, tile: await tiles.leafHashes(n) };
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return held.tile.subarray(at, at + HASH_BYTES);
  };
}

class EntryCheck {
  readonly #tree: Tree;
  readonly #checkpoint: Checkpoint;
  readonly #tiles: TilesVerdict;
  readonly #progress: EntriesProgress;
  readonly #assertPlace: ReturnType<typeof placeCheck>;
  readonly #leafHashAt: LeafHashAt;
  /** Over the hashes of whole tiles, and of the partial one at the end: the same root, since 256 is a power of two. */
  readonly #accumulator: RootAccumulator;
  readonly #hashes = new Uint8Array(TILE_WIDTH * HASH_BYTES);
  readonly #range: EntryRange;
  #index: number;
  #misfit: Misfit | undefined;
  #explained: Finding | undefined;

  constructor(
    tree: Tree,
    checkpoint: Checkpoint,
    tiles: TilesVerdict,
    progress: EntriesProgress,
    range: EntryRange,
  ) {
    this.#range = range;
    this.#index = range.from;
    this.#tree = tree;
    this.#checkpoint = checkpoint;
    this.#tiles = tiles;
    this.#progress = progress;
    this.#assertPlace = placeCheck(checkpoint.origin);
    this.#leafHashAt = leafHashesOf(tiles);
    this.#accumulator = tree.createRootAccumulator();
    this.#takeFromTiles(0, range.from);
  }

  /** Entries that are not there: what the tiles say of them. */
  #takeFromTiles(from: number, to: number): void {
    for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < to; n += 1) {
      const root = this.#tiles.rootOfTile(n);
      if (root !== undefined) this.#accumulator.add(root);
    }
  }

  /** The entries that follow: those of one tile, or fewer where the others are missing. */
  async add(lines: readonly Uint8Array[]): Promise<void> {
    const first = this.#index;
    for (const [i, line] of lines.entries()) {
      this.#hashes.set(this.#tree.leafHash(line), i * HASH_BYTES);
    }
    this.#index += lines.length;
    const [next] = lines;
    if (next !== undefined && this.#misfit !== undefined && !this.#inDoubt()) {
      // The line after the misfit tells a removed entry from an exchanged one.
      throw await this.#explain(this.#misfit, next);
    }
    const root = this.#rootOf(lines.length);
    if (root !== undefined) this.#accumulator.add(root);
    // Only the root of all says more now.
    if (this.#misfit !== undefined) return;
    const expected = this.#tiles.rootOfTile(Math.floor(first / TILE_WIDTH));
    const isWhole = lines.length === tileWidth(this.#checkpoint.size, 0, first / TILE_WIDTH);
    const fits = isWhole && root !== undefined && expected && equalBytes(root, expected);
    const right = fits ? lines.length : await this.#countRight(first, lines);
    for (let i = 0; i < right; i += 1) {
      const line = lines[i]!;
      this.#progress.matching += 1;
      // While tiles are in doubt, a leaf hash that fits does not show that the entry was signed.
      if (this.#inDoubt()) continue;
      this.#assertPlace(line, first + i);
      this.#progress.onEntry(line);
    }
    const after = lines[right + 1];
    if (this.#misfit !== undefined && after !== undefined && !this.#inDoubt())
      throw await this.#explain(this.#misfit, after);
  }

  /** What to throw where the entries ended with a failure. */
  async givenUp(error: unknown): Promise<unknown> {
    const { problem } = this.#tiles;
    // What was changed comes before what is missing, or damaged, after it.
    if (!(error instanceof Finding) || error === this.#explained) return error;
    if (problem !== undefined && error.status === 'incomplete') {
      return tampered(`${problem.problem} Besides: ${error.message}`, error.firstBadIndex);
    }
    if (this.#misfit === undefined || problem !== undefined) return error;
    return this.#explain(this.#misfit, undefined);
  }

  /** After the last entry. @throws Finding */
  async end(): Promise<void> {
    const { size, root } = this.#checkpoint;
    const { from, to } = this.#range;
    if (to < size) this.#takeFromTiles(to, size);
    const reached = equalBytes(this.#accumulator.root(), root);
    if (this.#tiles.problem !== undefined) {
      if (reached) this.#progress.matching = to - from;
      throw blame(this.#tiles.problem, reached, this.#misfit?.index, size);
    }
    if (this.#misfit !== undefined) throw await this.#explain(this.#misfit, undefined);
    if (!reached) throw tampered('The entries do not hash to the signed root.');
  }

  #inDoubt(): boolean {
    return this.#tiles.problem !== undefined;
  }

  #rootOf(count: number): Uint8Array | undefined {
    if (count === 0) return undefined;
    return tileRoot(this.#tree, this.#hashes.subarray(0, count * HASH_BYTES));
  }

  /** How many entries fit their leaf hashes before the first that does not, which becomes the misfit. */
  async #countRight(first: number, lines: readonly Uint8Array[]): Promise<number> {
    for (const [i, line] of lines.entries()) {
      const hash = this.#hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
      if (equalBytes(hash, await this.#leafHashAt(first + i))) continue;
      this.#misfit = { index: first + i, line };
      return i;
    }
    return lines.length;
  }

  async #explain(misfit: Misfit, next: Uint8Array | undefined): Promise<Finding> {
    const { size } = this.#checkpoint;
    this.#explained = await explainMismatch(this.#tree, misfit, next, size, this.#leafHashAt);
    return this.#explained;
  }
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
  return tilePath({ level: 0, n, width: tileWidth(size, 0, n) });
}
