/** Entry bundles of C2SP tlog-tiles: the entries themselves, for those who may take the whole log out. */
import { entryBundle } from '../core/audit/entry-bundle.ts';
import { TILE_WIDTH, tileWidth } from '../core/audit/tiles.ts';
import { refuseArchived } from '../core/audit/archived.ts';
import { refuse } from '../core/denials.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';
import { archivesOf } from './retention.ts';

/**
 * The entries of a bundle, within what the latest checkpoint covers. The reading goes on record before they are shown.
 *
 * @param n which bundle
 * @param width how many entries of it: 1 to 256
 * @throws RefusedError `not_found` where the checkpoint does not cover it
 */
export async function readEntryBundle(
  broker: Broker,
  actorId: string,
  n: number,
  width: number,
): Promise<Buffer> {
  const { readers, bundleReadings } = broker;
  const { member } = mayRead(broker, actorId, 'log.mirror');
  const size = readers.latestCheckpoint()?.size ?? 0;
  if (width > tileWidth(size, 0, n))
    return refuse('not_found', 'The latest checkpoint does not cover that bundle.');
  const from = n * TILE_WIDTH;
  const mustBeHere = (): void => {
    if (from < readers.minimumIndex()) refuseArchived(archivesOf(broker), from);
  };
  mustBeHere();
  await bundleReadings.note(member, from, from + width);
  // Entries can be pruned while that is written.
  mustBeHere();
  const [entries = []] = readers.entryBatches(from, from + width, TILE_WIDTH);
  if (entries.length !== width) throw new Error(`The log has no whole bundle ${n}.`);
  return entryBundle(entries);
}
