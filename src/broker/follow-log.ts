/**
 * Following the log, live: entries as they are committed, within the follower's reach as it is at that moment, for as long as
 * the token is good that they came with. Recorded as one reading.
 */
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { searchData, type EntrySearch } from '../core/audit/entry-search.ts';
import { refuseArchived } from '../core/audit/archived.ts';
import { RefusedError, type DenialCode } from '../core/denials.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';
import { archivesOf } from './retention.ts';
import { recordReading, searchWithin } from './read-log.ts';

/** Why a follow ends that its follower has not ended. */
type FollowEnd = 'token_expired' | 'token_revoked' | 'time_is_up' | 'shutting_down' | DenialCode;

export type FollowEvent =
  | { kind: 'entry'; entry: StoredEntry }
  /** Nothing more is to be had below it: where a follower goes on that was cut off. */
  | { kind: 'position'; next: number }
  | { kind: 'end'; why: FollowEnd };

export interface Follow {
  actorId: string;
  /** Of the token that they came with. */
  tokenId: string;
  search: EntrySearch;
  /** The first entry that is looked at; undefined: the next one. */
  from: number | undefined;
  /** Epoch milliseconds at which it ends by itself; Infinity: with the token. */
  until: number;
}

/** Without an entry, the follower hears so often that all is well. */
const SIGN_OF_LIFE_MS = 15_000;

/** Entries that are read at a time. */
const PAGE = 100;

/** How often the log is looked at while it grows all the time. */
const LEAST_PAUSE_MS = 100;

/**
 * Begins to follow the log.
 *
 * @param gone aborts when nobody listens any more
 * @returns what there is to say, at the pace at which it is taken
 * @throws RefusedError
 */
export async function followLog(
  broker: Broker,
  follow: Follow,
  gone: AbortSignal,
): Promise<AsyncGenerator<FollowEvent>> {
  const { actorId, search } = follow;
  mayRead(broker, actorId, 'log.read');
  const leave = broker.followers.enter(actorId);
  gone.addEventListener('abort', leave);
  try {
    await broker.store.caughtUp();
    // What was committed while the reading was recorded is not to be missed.
    const from = follow.from ?? broker.readers.logSize();
    if (from < broker.readers.minimumIndex()) refuseArchived(archivesOf(broker), from);
    await recordReading(broker, actorId, { follow: true, from, ...searchData(search) });
    return events(broker, { ...follow, from }, gone, leave);
  } catch (error) {
    leave();
    throw error;
  }
}

async function* events(
  broker: Broker,
  follow: Follow & { from: number },
  gone: AbortSignal,
  leave: () => void,
): AsyncGenerator<FollowEvent> {
  const { readers, feed, clock } = broker;
  let next = follow.from;
  let heardAt = -Infinity;
  try {
    while (!gone.aborted) {
      const search = mayStill(broker, follow);
      if (search instanceof Ended) {
        yield { kind: 'end', why: search.why };
        return;
      }
      if (performance.now() - heardAt >= SIGN_OF_LIFE_MS) {
        yield { kind: 'position', next };
        heardAt = performance.now();
      }
      const { changed } = feed;
      if (next < readers.minimumIndex()) {
        yield { kind: 'end', why: 'entry_archived' };
        return;
      }
      const page = readers.searchEntries(search, { ...FORWARD, from: next });
      let isChanged = false;
      for (const entry of page.found) {
        // It may have been some time until the one before was taken.
        isChanged = !isSame(mayStill(broker, follow), search);
        if (isChanged) break;
        yield { kind: 'entry', entry };
        heardAt = performance.now();
        next = entry.index + 1;
      }
      if (isChanged) continue;
      next = page.next ?? Math.max(next, page.size);
      if (page.next !== undefined) {
        await setImmediate();
        continue;
      }
      const leftMs = Math.max(0, endOf(broker, follow) - clock());
      await feed.wait(Math.min(SIGN_OF_LIFE_MS, leftMs), gone, changed);
      if (!feed.isClosed) await delay(LEAST_PAUSE_MS, undefined, { ref: false });
    }
  } finally {
    leave();
  }
}

const FORWARD = { direction: 'oldest first', below: Infinity, limit: PAGE } as const;

class Ended {
  readonly why: FollowEnd;

  constructor(why: FollowEnd) {
    this.why = why;
  }
}

/** What the follower may see now of what they search for, or why they may not any more. */
function mayStill(broker: Broker, follow: Follow): EntrySearch | Ended {
  const { clock, policy, readiness } = broker;
  if (readiness.isStopping) return new Ended('shutting_down');
  const token = policy.token(follow.tokenId);
  if (!token || token.revokedAt !== null) return new Ended('token_revoked');
  if (token.expiresAt <= clock()) return new Ended('token_expired');
  if (follow.until <= clock()) return new Ended('time_is_up');
  try {
    const { bounds } = mayRead(broker, follow.actorId, 'log.read');
    return searchWithin(bounds, follow.search) ?? new Ended('not_found');
  } catch (error) {
    if (error instanceof RefusedError) return new Ended(error.refusal.code);
    throw error;
  }
}

/** When a follow ends by itself at the latest, epoch milliseconds. */
const endOf = ({ policy }: Broker, { tokenId, until }: Follow): number =>
  Math.min(policy.token(tokenId)?.expiresAt ?? 0, until);

const isSame = (one: EntrySearch | Ended, other: EntrySearch): boolean =>
  !(one instanceof Ended) && one.lab === other.lab && one.person === other.person;
