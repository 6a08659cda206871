/** Reading the audit log: within the reader's reach, and on record. */
import { setImmediate } from 'node:timers/promises';
import type { Json } from '../core/audit/entry.ts';
import { searchData, type EntrySearch } from '../core/audit/entry-search.ts';
import { refuseArchived } from '../core/audit/archived.ts';
import { refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { actorOf } from '../store/operations/operation.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { FoundEntries, SearchRange } from '../store/search-entries.ts';
import type { Broker } from './broker.ts';
import { mayRead, type ReadingMember } from './reach.ts';
import { archivesOf } from './retention.ts';

/** A search whose page finds nothing goes on by itself for so many pages: each is recorded once. */
const PAGES_AT_ONCE = 10;

/** One page of a search. The reading is itself an entry, written before anything is shown. */
export async function readLog(
  broker: Broker,
  actorId: string,
  search: EntrySearch,
  range: SearchRange,
): Promise<FoundEntries> {
  await broker.store.caughtUp();
  const { bounds } = mayRead(broker, actorId, 'log.read');
  const within = searchWithin(bounds, search);
  const page = within ? await searchOn(broker, within, range) : nothing(broker);
  const { direction, from, limit, below } = range;
  await recordReading(broker, actorId, {
    from,
    ...(below === Infinity ? {} : { below }),
    limit,
    ...(direction === 'newest first' ? { newest: true } : {}),
    ...searchData(search),
    found: page.found.length,
  });
  return page;
}

const nothing = ({ readers }: Broker): FoundEntries => ({
  found: [],
  next: undefined,
  size: readers.logSize(),
});

async function searchOn(
  { readers }: Broker,
  search: EntrySearch,
  range: SearchRange,
): Promise<FoundEntries> {
  let page = readers.searchEntries(search, range);
  for (let pages = 1; pages < PAGES_AT_ONCE; pages += 1) {
    if (page.found.length > 0 || page.next === undefined) break;
    await setImmediate();
    const on = range.direction === 'oldest first' ? { from: page.next } : { below: page.next };
    page = readers.searchEntries(search, { ...range, ...on });
  }
  return page;
}

/**
 * What a reader searches for, cut down to what they may see. Undefined when the two have nothing in common: whoever asks
 * for another lab's entries gets none, not their own.
 */
export function searchWithin(
  { labId, personId }: ReadingMember['bounds'],
  search: EntrySearch,
): EntrySearch | undefined {
  if (labId !== undefined && search.lab !== undefined && search.lab !== labId) return undefined;
  if (personId !== undefined && search.person !== undefined && search.person !== personId)
    return undefined;
  return { ...search, lab: labId ?? search.lab, person: personId ?? search.person };
}

/** Records that somebody read the log. @param data what they asked for */
export async function recordReading(
  broker: Broker,
  actorId: string,
  data: Record<string, Json | undefined>,
): Promise<void> {
  const { member } = mayRead(broker, actorId, 'log.read');
  const at = broker.clock();
  await broker.store.write('recordEntry', {
    entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: actorOf(member), data },
  });
}

/** One entry by its index. @throws RefusedError `not_found` */
export async function readLogEntry(
  broker: Broker,
  actorId: string,
  index: number,
): Promise<StoredEntry> {
  const range = { from: index, below: index + 1, limit: 1, direction: 'oldest first' } as const;
  if (index < broker.readers.minimumIndex()) refuseArchived(archivesOf(broker), index);
  const [entry] = (await readLog(broker, actorId, {}, range)).found;
  return entry ? entry : refuse('not_found', 'There is no such entry, or you may not see it.');
}
