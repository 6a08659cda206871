/** Hash tiles of a log, for proofs: out of an evidence bundle, or from a running broker. */
import type { BundleReader } from '../../audit/bundle-reader.ts';
import { CHECKPOINT_PATH } from '../../audit/bundle-layout.ts';
import { readExact, readSmall } from '../../audit/expected-file.ts';
import { HASH_BYTES, tree } from '../../core/audit/merkle.ts';
import {
  compareByTree,
  compareCheckpoints,
  seenCheckpoint,
  type Comparison,
  type SeenCheckpoint,
} from '../../core/audit/split-view.ts';
import { tilePath, tileWidth } from '../../core/audit/tiles.ts';
import type { ReadExactTile } from '../../verify/check-tiles.ts';
import { withHashes } from '../../verify/compare.ts';
import { Finding, incomplete } from '../../verify/finding.ts';
import { tilesFrom } from '../../verify/log-source.ts';
import { openSource } from './http-log.ts';

const MOST_BYTES = 64 * 1024;

/**
 * Compares two checkpoints of one log, by its tiles where it takes them. The tiles are not trusted: they show something
 * where they lead to the root of the larger checkpoint.
 *
 * @param readTile undefined: there are none
 * @returns `undecided` as well where a tile is missing, or is none
 */
export async function compareByTiles(
  one: SeenCheckpoint,
  two: SeenCheckpoint,
  readTile: ReadExactTile | undefined,
): Promise<Comparison> {
  const atOnce = compareCheckpoints(one, two, undefined);
  if (atOnce.verdict !== 'undecided' || !readTile) return atOnce;
  const size = Math.max(one.size, two.size);
  try {
    return await withHashes(tree, size, readTile, (hashAt) => compareByTree(one, two, hashAt));
  } catch (error) {
    if (error instanceof Finding) return atOnce;
    throw error;
  }
}

/** Of a running broker. @param url with or without the path of its log */
export function tilesOfBroker(url: string): ReadExactTile {
  return tilesFrom(openSource(url));
}

/** Of a bundle, which may be of a later moment than the tree that is asked for. It must stay open. */
export async function tilesOfBundle(reader: BundleReader): Promise<ReadExactTile> {
  const note = await readSmall(reader, CHECKPOINT_PATH, MOST_BYTES);
  const { size } = seenCheckpoint(note.toString('utf8'));
  return async ({ path, level, n, width }) => {
    const has = tileWidth(size, level, n);
    if (has < width) throw incomplete(`The bundle, of ${size} entries, does not hold ${path}.`);
    const there = tilePath({ level, n, width: has });
    const tile = await readExact(reader, there, size, has * HASH_BYTES);
    return tile.subarray(0, width * HASH_BYTES);
  };
}
