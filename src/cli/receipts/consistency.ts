/** Whether a log has only grown between checkpoints, by the tiles that it serves to anybody. */
import { openCheckpoint } from '../../core/tlog/checkpoint.ts';
import type { LogKey } from '../../core/tlog/checkpoint.ts';
import { seenCheckpoint, type SeenCheckpoint } from '../../core/audit/split-view.ts';
import { compareByTiles, tilesOfBroker } from '../audit/log-hashes.ts';

/**
 * Finds those of several older checkpoints that a newer one does not continue: the log was shown in two versions.
 *
 * @param older signed notes
 * @param newer signed note
 * @param keys the log's, which signed them all
 * @returns what is wrong with each; none: the log only grew
 * @throws CliError where the broker cannot be reached
 */
export async function brokenFrom(
  url: string,
  older: Iterable<string>,
  newer: string,
  keys: readonly LogKey[],
): Promise<string[]> {
  const now = opened(newer, keys);
  const readTile = tilesOfBroker(url);
  const problems: string[] = [];
  for (const note of older) {
    const before = opened(note, keys);
    if (before.origin !== now.origin) {
      problems.push(`The checkpoints are of two logs: ${before.origin} and ${now.origin}.`);
      continue;
    }
    const { verdict } = await compareByTiles(before, now, readTile);
    const [first, second] = [before.size, now.size].sort((a, b) => a - b);
    if (verdict === 'split')
      problems.push(
        `The checkpoint of ${second} entries does not continue the one of ${first}: the log was shown in two versions.`,
      );
    if (verdict === 'undecided')
      problems.push(
        `That the checkpoint of ${second} entries continues the one of ${first} is not shown: the broker's tiles do not lead to it.`,
      );
  }
  return problems;
}

function opened(note: string, keys: readonly LogKey[]): SeenCheckpoint {
  openCheckpoint(note, keys);
  return seenCheckpoint(note);
}
