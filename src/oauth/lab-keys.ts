/** The keys that partner labs sign with: as registered, or fetched from where they publish them. */
import { Agent } from 'undici';
import { refuse } from '../core/denials.ts';
import type { LabIdentity } from '../core/people.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { readKeySet, type FoundKey } from './key-set.ts';
import { fetchKeySet } from './remote-jwks.ts';

const FETCH_MS = 5_000;
/** A lifetime that the answer gives is taken within these bounds. */
const SHORTEST_LIFE_MS = 60_000;
const LONGEST_LIFE_MS = 3_600_000;
const USUAL_LIFE_MS = 600_000;
/** An unknown `kid` makes for a new fetch at most this often, so that nobody can make us call a lab all day. */
const UNKNOWN_KID_MS = 60_000;
const RETRY_MS = 10_000;

export interface LabKeysSettings {
  clock: Clock;
  log: Logger;
  /** Whether keys may be fetched by http:// from the loopback interface. */
  allowInsecureLoopback: boolean;
}

/** What is known of one lab's keys under one identity. Another identity gets another, so that neither fills the other's. */
interface Cache {
  readonly identity: LabIdentity;
  keys: FoundKey[];
  /** The keys are trusted from `since` until before `until`. */
  trust: { since: number; until: number };
  /** When the last fetch was begun, and whether it has failed. */
  lastFetch: { at: number; failed: boolean } | undefined;
  /** The fetch under way: there is one at a time for a lab. */
  pending: Promise<void> | undefined;
}

/** One per broker, in its main thread. Close it to end what it is fetching. */
export class LabKeys {
  readonly #settings: LabKeysSettings;
  readonly #caches = new Map<string, Cache>();
  readonly #agent = new Agent({
    // Said here, so that nothing in the environment can turn the checking of certificates off.
    connect: { timeout: FETCH_MS, rejectUnauthorized: true },
    headersTimeout: FETCH_MS,
    bodyTimeout: FETCH_MS,
  });

  constructor(settings: LabKeysSettings) {
    this.#settings = settings;
  }

  /**
   * Finds the public keys of a lab that go by `kid`: one, or several that their types tell apart. A set of
   * exactly one usable key needs no `kid`.
   *
   * @returns at least one
   * @throws RefusedError `invalid_assertion` where there is no such key; `lab_keys_unavailable` where the
   *   lab's keys are not known well enough to say so, in which case nothing is trusted
   */
  async find(labId: string, identity: LabIdentity, kid: string | undefined): Promise<FoundKey[]> {
    const cache = this.#cacheOf(labId, identity);
    if (!this.#isTrusted(cache)) {
      if (!cache.pending && this.#isRecent(cache, RETRY_MS)) return refuse('lab_keys_unavailable');
      await this.#fetch(labId, cache);
    }
    const found = pick(cache.keys, kid);
    if (found) return found;
    if (kid === undefined || identity.jwksUrl === undefined) return refuse('invalid_assertion');
    if (cache.pending || !this.#isRecent(cache, UNKNOWN_KID_MS)) await this.#fetch(labId, cache);
    // Without the newest keys, one that was published since cannot be told from one that never was.
    const whyNot = cache.lastFetch?.failed ? 'lab_keys_unavailable' : 'invalid_assertion';
    return pick(cache.keys, kid) ?? refuse(whyNot);
  }

  /** Ends fetches under way: who waits for one is refused. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #cacheOf(labId: string, identity: LabIdentity): Cache {
    const known = this.#caches.get(labId);
    if (known?.identity.setAt === identity.setAt && known.identity.jwksUrl === identity.jwksUrl)
      return known;
    const cache: Cache = {
      identity,
      keys: [],
      trust: { since: 0, until: 0 },
      lastFetch: undefined,
      pending: undefined,
    };
    this.#caches.set(labId, cache);
    return cache;
  }

  #isTrusted({ trust }: Cache): boolean {
    const now = this.#settings.clock();
    // A clock that was set back must not make trust any longer.
    return now >= trust.since && now < trust.until;
  }

  #isRecent({ lastFetch }: Cache, ms: number): boolean {
    const ago = this.#settings.clock() - (lastFetch?.at ?? -Infinity);
    return ago >= 0 && ago < ms;
  }

  /**
   * Fetches the lab's keys, or waits for the fetch under way. Where it fails, what was trusted before stays
   * so for as long as it was to be, and not a moment longer.
   */
  async #fetch(labId: string, cache: Cache): Promise<void> {
    cache.pending ??= this.#fill(labId, cache).finally(() => {
      cache.pending = undefined;
    });
    await cache.pending;
    // The lab may have been given another identity meanwhile.
    if (!this.#isTrusted(cache) || this.#caches.get(labId) !== cache)
      refuse('lab_keys_unavailable');
  }

  async #fill(labId: string, cache: Cache): Promise<void> {
    const { clock, log } = this.#settings;
    const now = clock();
    const fetch = { at: now, failed: false };
    cache.lastFetch = fetch;
    try {
      const { keys, trust } = await this.#load(cache.identity, now);
      cache.keys = keys;
      cache.trust = trust;
    } catch (error) {
      fetch.failed = true;
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ labId, why }, "the lab's keys are not available");
    }
  }

  async #load({ jwks, jwksUrl }: LabIdentity, now: number): Promise<Pick<Cache, 'keys' | 'trust'>> {
    if (jwksUrl === undefined)
      return { keys: await readKeySet(jwks), trust: { since: -Infinity, until: Infinity } };
    const { keys, lifetimeMs = USUAL_LIFE_MS } = await fetchKeySet(jwksUrl, {
      agent: this.#agent,
      allowInsecureLoopback: this.#settings.allowInsecureLoopback,
      withinMs: FETCH_MS,
      now,
    });
    const life = Math.min(Math.max(lifetimeMs, SHORTEST_LIFE_MS), LONGEST_LIFE_MS);
    return { keys, trust: { since: now, until: now + life } };
  }
}

function pick(keys: FoundKey[], kid: string | undefined): FoundKey[] | undefined {
  if (kid === undefined) return keys.length === 1 ? keys : undefined;
  const found = keys.filter((key) => key.kid === kid);
  return found.length > 0 ? found : undefined;
}
