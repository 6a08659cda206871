/** The keys that count for a log: those that the caller trusts, and what the history of the log's keys makes of them. */
import {
  KeyHistoryError,
  keysOf,
  logKeysOf,
  parseKeyHistory,
  withoutHistory,
} from '../core/audit/key-history.ts';
import type { LogKey } from '../core/tlog/checkpoint.ts';
import { tampered } from '../verify/finding.ts';

/**
 * The keys that count, and for which sizes: those given, or all of the history that one of them stands in.
 *
 * @param given verifier keys
 * @param history as the log or its bundle offers it, not checked; undefined: there is none
 * @param where what offered it, as the sentence about it begins
 * @throws Finding `tampered` for a history that is wrong, or has none of the keys given; RangeError for a key that is none
 */
export function knownKeys(
  given: readonly string[],
  history: string | undefined,
  where: string,
): LogKey[] {
  if (history === undefined) return logKeysOf(withoutHistory(given));
  try {
    return logKeysOf(keysOf(parseKeyHistory(history), given));
  } catch (error) {
    if (error instanceof KeyHistoryError)
      throw tampered(`${where} is not to be trusted. ${error.message}`);
    throw error;
  }
}
