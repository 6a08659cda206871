/** The keys that count for a log, over Node's own crypto: see verify/trusted-keys.ts. */
import { parseVerifierKey } from '../core/audit/note-keys.ts';
import type { NoteVerifier } from '../core/audit/note.ts';
import type { LogKey } from '../core/tlog/checkpoint.ts';
import {
  keysThatCount,
  originIn,
  parseTrusted,
  type Histories,
  type RememberedHistory,
} from '../verify/trusted-keys.ts';

/** What somebody trusts. */
export interface TrustedKeys {
  /** Verifier keys as text, of any logs. */
  keys: readonly string[];
  /** Histories of logs' keys that they have, as documents. */
  histories: readonly string[];
  /** The one that was kept of a log when it was seen before; undefined where there is none. */
  remembered?: (origin: string) => RememberedHistory | undefined;
}

/** The same, and a history that was found right. */
export const withHistory = (trusted: TrustedKeys, history: string | undefined): TrustedKeys =>
  history === undefined ? trusted : { ...trusted, histories: [...trusted.histories, history] };

/** Keys alone are keys without a history. */
export function trustedKeysOf(keys: string | readonly string[] | TrustedKeys): TrustedKeys {
  if (typeof keys === 'string') return { keys: [keys], histories: [] };
  return 'histories' in keys ? keys : { keys, histories: [] };
}

/** Keys as text, taken apart. @throws Finding `could_not_run` */
export const parseTrustedKeys = ({ keys }: TrustedKeys): NoteVerifier[] =>
  parseTrusted(parseVerifierKey, keys);

/**
 * The keys that count, and for which sizes: see `keysThatCount`.
 *
 * @param note the checkpoint
 * @param offered the history that comes with it, and what that is
 * @throws Finding
 */
export function knownKeys(
  trusted: TrustedKeys,
  note: string | Uint8Array,
  offered: Omit<Histories, 'held' | 'remembered'> = {},
): LogKey[] {
  const remembered = trusted.remembered?.(originIn(note));
  const histories = { ...offered, held: trusted.histories, remembered };
  return keysThatCount(parseVerifierKey, parseTrustedKeys(trusted), note, histories);
}
