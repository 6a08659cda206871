/** Reading the audit log: within the reader's reach, and on record. */
import { refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { actorOf } from '../store/operations/operation.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { EntryFilter } from '../store/readers.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

export type LogQuery = Pick<EntryFilter, 'from' | 'limit' | 'ref' | 'kind' | 'grantId'>;

/** Entries in the order of the log. The reading is itself an entry, written before anything is shown. */
export async function readLog(
  broker: Broker,
  actorId: string,
  query: LogQuery,
): Promise<StoredEntry[]> {
  await broker.store.caughtUp();
  const { member, bounds } = mayRead(broker, actorId, 'log.read');
  const at = broker.clock();
  const found = broker.readers.listEntries({ ...query, ...bounds });
  await broker.store.write('recordEntry', {
    entry: {
      id: mintId('ent', at),
      kind: 'audit.read',
      at,
      actor: actorOf(member),
      data: {
        from: query.from,
        limit: query.limit,
        ref: query.ref,
        kind: query.kind,
        grant: query.grantId,
        found: found.length,
      },
    },
  });
  return found;
}

/** One entry by its index. @throws RefusedError `not_found` */
export async function readLogEntry(
  broker: Broker,
  actorId: string,
  index: number,
): Promise<StoredEntry> {
  const [entry] = await readLog(broker, actorId, { from: index, limit: 1 });
  return entry?.index === index
    ? entry
    : refuse('not_found', 'There is no such entry, or you may not see it.');
}
