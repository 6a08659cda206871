/** Puts a reading of the log on record, before anything of it is shown. */
import type { Json } from '../core/audit/entry.ts';
import { mintId } from '../lib/ids.ts';
import { actorOf } from '../store/operations/operation.ts';
import type { Broker } from './broker.ts';
import type { ReadingMember } from './reach.ts';

/**
 * Records that somebody reads the log.
 *
 * @param data what is read: what was asked for, and how much was found
 * @throws RefusedError `log_unavailable`: then nothing is to be shown
 */
export async function recordReading(
  { store, clock }: Pick<Broker, 'store' | 'clock'>,
  { member }: Pick<ReadingMember, 'member'>,
  data: Record<string, Json | undefined>,
): Promise<void> {
  const at = clock();
  await store.write('recordEntry', {
    entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: actorOf(member), data },
  });
}
