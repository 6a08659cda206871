/** Which state of a thing somebody has seen. */
import { createHash } from 'node:crypto';
import { refusal, type Refusal } from './denials.ts';

/**
 * The revision of a record: whatever changes in it makes another. It is what `ETag` and `If-Match` carry.
 *
 * @param record as the store reads it, with its members in the same order each time
 */
export function revisionOf(record: object): string {
  return createHash('sha256')
    .update(JSON.stringify(record), 'utf8')
    .digest('base64url')
    .slice(0, 22);
}

/**
 * Why a change is refused that was decided on another state of the thing than the present one, or null.
 *
 * @param expected the revisions that the caller would change; undefined: whichever there is
 */
export function refusalOfStale(
  record: object,
  expected: readonly string[] | undefined,
): Refusal | null {
  if (expected === undefined || expected.includes(revisionOf(record))) return null;
  return refusal('stale_version');
}
