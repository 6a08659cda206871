/** Pruning what an archive holds, by somebody who shows that they have it. */
import { EXPORT_LAYOUT } from '../core/audit/exports.ts';
import { refuse } from '../core/denials.ts';
import { isSameText } from '../lib/same-text.ts';
import type { PruneArgs, Pruned } from '../store/operations/retention.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { findArchive, planOf } from './export-audit.ts';
import type { PruneChallenge } from './prune-challenges.ts';
import { retentionFacts } from './retention.ts';

/**
 * Challenges whoever wants to prune, where nothing stands against it but that they show the archive.
 *
 * @throws RefusedError with what does
 */
export async function challengePruning(
  broker: Broker,
  actorId: string,
  exportId: string,
): Promise<Pruned & PruneChallenge> {
  const pruned = await decide(broker, actorId, { exportId, dryRun: true, shown: undefined });
  const { pruneChallenges, clock } = broker;
  return { ...pruned, ...pruneChallenges.issue(actorId, exportId, clock()) };
}

export interface PruneAsked {
  exportId: string;
  /** As it was issued to this person for this archive. */
  challenge: string;
  /** HMAC-SHA-256 (RFC 2104) of the archive, under the challenge as its key; hex. */
  proof: string;
  /** Whether to decide, and prune nothing. */
  dryRun: boolean;
}

/**
 * Prunes what an archive holds. The archive is made once more to check the proof, from the entries that are about to go: no
 * digest that is on record is of use to whoever has not the bytes.
 *
 * @param gone aborts when nobody waits for it any more: nothing is pruned then
 * @throws RefusedError
 */
export async function pruneLog(
  broker: Broker,
  actorId: string,
  { exportId, challenge, proof, dryRun }: PruneAsked,
  gone: AbortSignal,
): Promise<Pruned> {
  // What is decided without the archive comes first: to make it takes a while.
  await decide(broker, actorId, { exportId, dryRun: true, shown: undefined });
  if (!broker.pruneChallenges.isGood(challenge, actorId, exportId, broker.clock()))
    refuse(
      'not_prunable',
      'The challenge is over, or was not made for you and this archive. Get a new one.',
      { param: 'challenge' },
    );
  const { sha256, keyed = '' } = await makeOnceMore(broker, actorId, exportId, challenge, gone);
  const shown = { isSame: isSameText(proof, keyed), sha256 };
  return decide(broker, actorId, { exportId, dryRun, shown });
}

const decide = (
  broker: Broker,
  actorId: string,
  asked: Pick<PruneArgs, 'exportId' | 'dryRun' | 'shown'>,
): Promise<Pruned> =>
  broker.store.write('recordPruning', {
    ...retentionFacts(broker),
    ...asked,
    by: by(broker, actorId),
  });

async function makeOnceMore(
  broker: Broker,
  actorId: string,
  exportId: string,
  key: string,
  gone: AbortSignal,
): ReturnType<Broker['exports']['measure']> {
  const { lab } = broker.policy.member(actorId) ?? refuse('invalid_token');
  const recorded = findArchive(broker, exportId);
  if (recorded.data.layout !== EXPORT_LAYOUT)
    refuse(
      'not_prunable',
      'This version of the broker makes archives in another way, and cannot check that one. Archive again.',
    );
  const slot = broker.exports.takeSlot('export', lab);
  try {
    return await broker.exports.measure(planOf(broker, recorded), gone, key);
  } finally {
    slot.cancel();
  }
}
