/** Whether a log has only grown between checkpoints, by the tiles that it serves to anybody. */
import { openCheckpoint, type Checkpoint } from '../../core/audit/checkpoint.ts';
import { HASH_BYTES } from '../../core/audit/merkle.ts';
import { consistencyProof, verifyConsistency } from '../../core/audit/proofs.ts';
import { hashesFromTiles, tilePath, tileWidth } from '../../core/audit/tiles.ts';
import { call } from '../http.ts';
import { failed } from '../problems.ts';

/** A tile that is needed next. */
class Needed extends Error {
  readonly level: number;
  readonly n: number;

  constructor(level: number, n: number) {
    super(`The tile ${n} of level ${level} is needed.`);
    this.level = level;
    this.n = n;
  }
}

/**
 * Finds those of several older checkpoints that a newer one does not continue: the log was shown in two versions.
 *
 * @param older signed notes
 * @param newer signed note
 * @param keys the log's, which signed them all
 * @returns what is wrong with each; none: the log only grew
 * @throws CliError where the broker cannot be reached, or gives no tile that its checkpoint needs
 */
export async function brokenFrom(
  url: string,
  older: Iterable<string>,
  newer: string,
  keys: readonly string[],
): Promise<string[]> {
  const now = openCheckpoint(newer, keys);
  const tiles = new Map<string, Uint8Array>();
  const problems: string[] = [];
  for (const note of older) {
    const before = openCheckpoint(note, keys);
    const [first, second] = before.size <= now.size ? [before, now] : [now, before];
    const isContinued =
      first.origin === second.origin && (await continues(url, tiles, first, second));
    if (!isContinued)
      problems.push(
        `The checkpoint of ${second.size} entries does not continue the one of ${first.size}: the log was shown in two versions.`,
      );
  }
  return problems;
}

async function continues(
  url: string,
  tiles: Map<string, Uint8Array>,
  first: Checkpoint,
  second: Checkpoint,
): Promise<boolean> {
  if (first.size === second.size) return first.root.equals(second.root);
  for (;;) {
    const hashes = hashesFromTiles(second.size, (level, n) => {
      const tile = tiles.get(tilePath(addressOf(second.size, level, n)));
      if (!tile) throw new Needed(level, n);
      return tile;
    });
    try {
      const proof = consistencyProof(first.size, second.size, hashes);
      const [oldSize, oldRoot, newSize, newRoot] = [
        first.size,
        first.root,
        second.size,
        second.root,
      ];
      return verifyConsistency({ oldSize, oldRoot, newSize, newRoot, proof });
    } catch (error) {
      if (!(error instanceof Needed)) throw error;
      const address = addressOf(second.size, error.level, error.n);
      const path = tilePath(address);
      const answer = await call(`${url}/api/v1/log/${path}`);
      const tile = Buffer.from(await answer.arrayBuffer());
      if (tile.length !== address.width * HASH_BYTES)
        throw failed(`The broker's ${path} is not a tile of ${address.width} hashes.`);
      tiles.set(path, tile);
    }
  }
}

const addressOf = (size: number, level: number, n: number) => ({
  level,
  n,
  width: tileWidth(size, level, n),
});
