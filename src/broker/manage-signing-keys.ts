/** The keys that sign tokens: opened at the start, rotated, and retired when one has leaked. */
import { reachOf, type Action } from '../core/authority.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import type { SigningKeyRecord } from '../core/signing-keys.ts';
import { mintId } from '../lib/ids.ts';
import {
  MOST_KEY_ENTRIES,
  type NewKey,
  type RetiredKey,
} from '../store/operations/signing-keys.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { recordDenial } from './deny-action.ts';
import { mayRead } from './reach.ts';

/** At the start the writer may have a backlog: nobody waits for an answer yet. */
const START_DEADLINE_MS = 60_000;

/**
 * Opens the keys before anything is served. The key of an older version is adopted; a file that no
 * transaction put to use, as a crash leaves it, takes the place of a key that is missing.
 *
 * @throws when there is a key that cannot be used
 */
export async function openSigningKeys(broker: Broker): Promise<void> {
  const { store, readers, signingKeys, clock, log } = broker;
  for (const file of signingKeys.removeParts())
    log.warn({ file }, 'removed what a crash left of a key file in the making');
  const records = readers.listSigningKeys();
  for (const record of records) signingKeys.apply(record);
  const isHeld = new Set(signingKeys.held.map(({ kid }) => kid));
  const unclaimed = signingKeys.held.filter(({ kid }) => records.every((key) => key.kid !== kid));
  const [found, ...others] = unclaimed;
  const canSign = records.some(
    ({ kid, state }) => (state === 'active' || state === 'next') && isHeld.has(kid),
  );
  const at = clock();
  const { lost, tokensEnded } = await store.write(
    'openSigningKeys',
    {
      at,
      entryIds: entryIds(at),
      held: [...isHeld],
      spare: canSign ? undefined : { ...(found ?? signingKeys.make()), found: found !== undefined },
    },
    { deadlineMs: START_DEADLINE_MS },
  );
  for (const kid of lost)
    log.warn(
      { kid, tokensEnded },
      'the private half of a token key is gone: its tokens have ended',
    );
  for (const { kid } of canSign ? unclaimed : others)
    log.warn({ kid }, 'the folder of keys holds a token key that was never put to use: remove it');
  await advanceSigningKeys(broker);
}

/** Does what is due by time alone. Repeating it, or missing a time, does no harm. */
export async function advanceSigningKeys(broker: Broker): Promise<void> {
  const { store, signingKeys, clock } = broker;
  const now = clock();
  if (signingKeys.isChanging)
    await store.write('advanceSigningKeys', { now, entryIds: entryIds(now) });
  removeSpentKeys(broker);
}

/**
 * Has a new key take over, after it was published for as long as clients keep the published keys; or at once.
 *
 * @returns the key that signs from now on, or from its `activatesAt` on
 * @throws RefusedError when a new key waits already, unless it is to take over at once; when one is needed
 *   and cannot be written
 */
export async function rotateSigningKeys(
  broker: Broker,
  actorId: string,
  { now }: { now: boolean },
): Promise<SigningKeyRecord> {
  await mustBeAllowed(broker, actorId, 'key.rotate');
  const who = by(broker, actorId);
  const activatesAt = who.at + broker.keyOverlapMs;
  return withNewKey(broker, (key) =>
    broker.store.write('rotateSigningKeys', {
      by: who,
      key,
      activatesAt,
      now,
      entryIds: entryIds(who.at),
    }),
  );
}

/**
 * Retires a key at once. When it returns, its tokens have ended, their live streams are cut, and another key
 * signs.
 *
 * @throws RefusedError when another key would be needed and cannot be written, and whatever else forbids it
 */
export async function retireSigningKey(
  broker: Broker,
  actorId: string,
  kid: string,
  grounds: string,
): Promise<RetiredKey> {
  await mustBeAllowed(broker, actorId, 'key.retire', kid);
  const who = by(broker, actorId);
  // Whether it is needed is known in the transaction alone.
  return withNewKey(broker, (spare) =>
    broker.store.write('retireSigningKey', {
      by: who,
      kid,
      grounds,
      spare,
      entryIds: entryIds(who.at),
    }),
  );
}

/** A key, and how many live tokens it signed; null where the reader may not see everybody's. */
export interface ShownKey {
  key: SigningKeyRecord;
  liveTokens: number | null;
}

/** All keys there ever were, newest first. */
export function listSigningKeys(broker: Broker, actorId: string): ShownKey[] {
  const { reach } = mayRead(broker, actorId, 'key.read');
  const counts = broker.readers.countTokensBySigningKey(broker.clock());
  return broker.readers.listSigningKeys().map((key) => ({
    key,
    liveTokens: reach === 'all' ? (counts.get(key.kid) ?? 0) : null,
  }));
}

/** Decides before a key is made: whoever may not do this is not to cost us a file. */
async function mustBeAllowed(
  broker: Broker,
  actorId: string,
  action: Action,
  kid?: string,
): Promise<void> {
  const member = broker.policy.member(actorId) ?? refuse('invalid_token');
  const reach = reachOf(member, action);
  if (typeof reach === 'string') return;
  await recordDenial(broker, actorId, action, reach, kid);
  throw new RefusedError(reach);
}

/**
 * Runs an operation that may put a new key to use, and removes the key where it did not. Where none can be
 * written, it runs without: only the transaction knows whether it needs one.
 */
async function withNewKey<R>(
  broker: Broker,
  write: (key: NewKey | undefined) => Promise<R>,
): Promise<R> {
  const { signingKeys } = broker;
  // On disk first: a crash after the commit must find what signs from then on.
  const key = makeKey(broker);
  let mayCommitYet = false;
  try {
    return await write(key);
  } catch (error) {
    mayCommitYet = error instanceof RefusedError && error.refusal.code === 'log_unavailable';
    throw error;
  } finally {
    // What the operation did is in the ring by now.
    if (key && !mayCommitYet) signingKeys.discardUnused(key.kid);
    removeSpentKeys(broker);
  }
}

function makeKey({ signingKeys, log }: Broker): NewKey | undefined {
  try {
    return signingKeys.make();
  } catch (error) {
    log.error({ err: String(error) }, 'no token key can be written to the folder of keys');
    return undefined;
  }
}

/** Nobody uses such a key whether its file can be removed or not, so that is not a reason to fail. */
function removeSpentKeys({ signingKeys, log }: Broker): void {
  const { removed, failed } = signingKeys.removeSpent();
  for (const kid of removed)
    log.info({ kid }, 'removed the private half of a token key that is no longer used');
  for (const { kid, why } of failed) {
    log.error(
      { kid, err: why },
      'the private half of a token key that is no longer used cannot be removed, which is tried again: remove it',
    );
  }
}

const entryIds = (at: number): string[] =>
  Array.from({ length: MOST_KEY_ENTRIES }, () => mintId('ent', at));
