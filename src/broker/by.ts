import { mintId } from '../lib/ids.ts';
import type { By } from '../store/operations/operation.ts';
import type { Broker } from './broker.ts';

/** Who acts, when, and the id of the entry that will say so. */
export function by(broker: Broker, actorId: string): By {
  const at = broker.clock();
  return { actorId, at, entryId: mintId('ent', at) };
}
