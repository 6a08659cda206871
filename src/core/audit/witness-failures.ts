/** Why a witness did not cosign: our word for it, never a text of the other side. */

/** Each in a sentence that says what to do. */
export const WITNESS_FAILURES = {
  unreachable: 'It cannot be reached, or the connection cannot be trusted (TLS).',
  timeout: 'It did not answer in time.',
  unknown_log:
    'It does not know this log (404). Give whoever runs it the origin and the verifier key of this log.',
  not_trusted:
    'It trusts another key for this log (403). Give whoever runs it the verifier key that signs now.',
  bad_request: 'It could not read what it was sent (400).',
  inconsistent:
    'It says that our newest checkpoint does not continue the one that it knows (422). One of the two logs is not the one that it was: compare them with "sallyport audit compare".',
  disagrees:
    'It knows another checkpoint of the same size (409). One of the two logs is not the one that it was: compare them with "sallyport audit compare".',
  ahead:
    'It says that it has cosigned a newer checkpoint of ours than the one that it was asked for. It is asked for a newer one.',
  behind:
    'It has cosigned more entries than this log has: this is an older copy of the log. Restore the newest one.',
  busy: 'It has too much to do, or we asked too often (429 or 503).',
  refused: 'It refused, and says nothing that we know of.',
  bad_answer:
    'Its answer is not a cosignature by the key that is configured for it. Compare the key with whoever runs it.',
  not_stored: 'It cosigned, and that could not be stored here.',
} as const;

export type WitnessFailure = keyof typeof WITNESS_FAILURES;

const SHORTEST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 300_000;

/**
 * When a witness that failed is asked again: after 5 seconds, then twice as long each time, up to 5 minutes. A pause is
 * shorter by up to a quarter, so that those who failed together do not come back together.
 *
 * @param failures in a row, 1 or more
 * @param chance from 0 up to 1
 * @returns milliseconds
 */
export function pauseBeforeAsking(failures: number, chance: number): number {
  const pause = Math.min(SHORTEST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
  return Math.round(pause * (1 - 0.25 * chance));
}
