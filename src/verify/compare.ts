/** Holds two checkpoints of one log against each other, with a proof that is made from the log's tiles. */
import type { Checkpoint, LogKey } from '../core/tlog/checkpoint.ts';
import { equalBytes } from '../core/tlog/bytes.ts';
import { consistencyProof, verifyConsistency } from '../core/tlog/proofs.ts';
import { hashesFromTiles, tilePath, tileWidth } from '../core/tlog/tiles.ts';
import type { HashAt, Tree } from '../core/tlog/tree.ts';
import type { ReadExactTile } from './check-tiles.ts';
import { tampered, type Finding } from './finding.ts';

/**
 * How a checkpoint stands to one that was seen before, both signed by the log.
 *
 * - `continues`: the log has only grown, or is the same.
 * - `rollback`: it has fewer entries. Of a running log that is wrong; an evidence bundle may be of an earlier moment.
 * - `fork`: no one log has both. The two are a proof of it.
 */
export type Standing = 'continues' | 'rollback' | 'fork';

/** What two checkpoints say by themselves; undefined where it takes a proof. */
export function standingAtOnce(seen: Checkpoint, now: Checkpoint): Standing | undefined {
  if (seen.size > now.size) return 'rollback';
  if (seen.size < now.size) return undefined;
  return equalBytes(seen.root, now.root) ? 'continues' : 'fork';
}

/**
 * The same where the log has grown, by a proof out of its tiles, which must be known to reach the signed root: wrong
 * tiles would look like a fork.
 *
 * @throws Finding where a tile that it takes is missing
 */
export async function standingByProof(
  tree: Tree,
  seen: Checkpoint,
  now: Checkpoint,
  readTile: ReadExactTile,
): Promise<Standing> {
  const proof = await withHashes(tree, now.size, readTile, (hashAt) =>
    consistencyProof(tree, seen.size, now.size, hashAt),
  );
  const isOneLog = verifyConsistency(tree, {
    oldSize: seen.size,
    oldRoot: seen.root,
    newSize: now.size,
    newRoot: now.root,
    proof,
  });
  return isOneLog ? 'continues' : 'fork';
}

/** What is wrong with a log that stands so to what was seen of it; undefined if nothing. */
export function wrongStanding(
  standing: Standing,
  seen: Checkpoint,
  now: Checkpoint,
): Finding | undefined {
  if (standing === 'continues') return undefined;
  if (standing === 'rollback')
    return tampered(
      `The log was rolled back: by this checkpoint it has ${now.size} entries, and by one that was seen before it had ${seen.size}.`,
      now.size,
    );
  return tampered(
    seen.size === now.size
      ? `The log forked: two signed checkpoints of ${now.size} entries have different roots, so it was shown in two versions.`
      : `The log forked: what it has now, ${now.size} entries, does not begin with the ${seen.size} entries of the checkpoint that was seen before.`,
  );
}

/**
 * Holds the checkpoints with which a log's keys were replaced against the log, by tiles that reach the signed root.
 *
 * @throws Finding where one is of another log, or a tile that it takes is missing
 */
export async function mustHoldSteps(
  tree: Tree,
  keys: readonly LogKey[],
  now: Checkpoint,
  readTile: ReadExactTile,
): Promise<void> {
  for (const { upTo, lastRoot } of keys) {
    if (upTo === undefined || lastRoot === undefined || upTo > now.size) continue;
    const step = { origin: now.origin, size: upTo, root: lastRoot };
    const standing =
      standingAtOnce(step, now) ?? (await standingByProof(tree, step, now, readTile));
    if (standing !== 'continues')
      throw tampered(
        `The log was shown in two versions: what it has now, ${now.size} entries, does not begin with the ${upTo} entries with which its key was replaced.`,
      );
  }
}

/**
 * Works with the hashes of a tree of so many leaves, out of its tiles: loads those that are asked for. Nothing says that
 * they are right: what is made of them has to come to a root that somebody signed.
 *
 * @throws Finding where a tile is missing
 */
export async function withHashes<T>(
  tree: Tree,
  size: number,
  readTile: ReadExactTile,
  work: (hashAt: HashAt) => T,
): Promise<T> {
  const held = new Map<string, Uint8Array>();
  for (;;) {
    let missing: { level: number; n: number } | undefined;
    const hashes = hashesFromTiles(tree, size, (level, n) => {
      const tile = held.get(`${level}/${n}`);
      if (tile === undefined) missing = { level, n };
      return tile;
    });
    try {
      return work(hashes);
    } catch (error) {
      // Which tiles it takes shows by what it asks for; each round loads one.
      if (missing === undefined) throw error;
    }
    const { level, n } = missing;
    const width = tileWidth(size, level, n);
    const path = tilePath({ level, n, width });
    held.set(`${level}/${n}`, await readTile({ path, level, n, width }));
  }
}
