/** Having a new key sign the log. */
import { formatKeyHistory } from '../core/audit/key-history.ts';
import type { RotatedLogKey } from '../store/operations/log-key.ts';
import { rangesOf, type LogKeyRow } from '../store/log-key-rows.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

/**
 * Has a new key, which the broker makes, take over from the one that signs the log.
 *
 * @param overlapMs for so long the old key signs beside the new one; 0: not at all, for one that may have leaked
 * @throws RefusedError
 */
export function rotateLogKey(
  broker: Broker,
  actorId: string,
  overlapMs: number,
): Promise<RotatedLogKey> {
  const to = [...broker.policy.labs()].map(({ id }) => ({ labId: id }));
  return broker.store.write('rotateLogKey', { by: by(broker, actorId), overlapMs, to });
}

/** The history of the log's keys as the document that verifiers take. */
export function logKeyHistory({ readers }: Broker): string {
  return historyOf(readers.listLogKeys());
}

function historyOf([first, ...rest]: readonly LogKeyRow[]): string {
  return formatKeyHistory(
    first?.verifierKey ?? '',
    rest.map(({ step }) => step ?? ''),
  );
}

/**
 * The same for evidence: undefined where there was never another key, and nothing is to be told.
 *
 * @param at index of an entry, to have the history as it was then: a key's entry has the index that it signs after
 */
export function keyHistoryOf({ readers }: Broker, at = Infinity): string | undefined {
  const keys = readers.listLogKeys().filter(({ after }) => after < at);
  return keys.length > 1 ? historyOf(keys) : undefined;
}

/** The key that counts for checkpoints of a size. */
export function logKeyOf({ readers, store }: Broker, size: number): string {
  const ranges = rangesOf(readers.listLogKeys());
  const range = ranges.find(({ after, upTo }) => after < size && size <= upTo);
  return range?.verifierKey ?? store.verifierKey;
}
