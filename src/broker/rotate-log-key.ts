/** Having a new key sign the log. */
import { formatKeyHistory } from '../core/audit/key-history.ts';
import type { RotatedLogKey } from '../store/operations/log-key.ts';
import type { LogKeyRow } from '../store/log-key-rows.ts';
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
export function logKeyHistory(rows: readonly LogKeyRow[]): string {
  const [first, ...rest] = rows;
  return formatKeyHistory(
    first?.verifierKey ?? '',
    rest.map(({ step }) => step ?? ''),
  );
}
