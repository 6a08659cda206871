/** The states of a key that signs tokens, and when time moves it from one to the next. */

/**
 * `next` is published and signs nothing yet; `active` signs; `retiring` signs no more, but tokens that it
 * signed are still good; `retired` is over.
 */
export type SigningKeyState = 'next' | 'active' | 'retiring' | 'retired';

/** What is kept of a key: its public half (RFC 8037 `x`), and when it did what. Epoch milliseconds. */
export interface SigningKeyRecord {
  /** RFC 7638 thumbprint. */
  kid: string;
  x: string;
  state: SigningKeyState;
  createdAt: number;
  /** When a `next` key takes over. */
  activatesAt: number | null;
  activatedAt: number | null;
  /** When it stopped signing. */
  replacedAt: number | null;
  retiredAt: number | null;
}

/**
 * A key stays published for so long after it stopped signing: assertions that it signed for the host's own
 * people live 300 seconds, and whoever checks them may be off by 30.
 */
const PUBLISHED_AFTER_MS = 330_000;

/** Whether a next key's turn has come at `now`, in epoch milliseconds. */
export function takesOver({ state, activatesAt }: SigningKeyRecord, now: number): boolean {
  return state === 'next' && activatesAt !== null && activatesAt <= now;
}

/**
 * Whether nothing that a key signed can be good any more.
 *
 * @param hasUnexpired whether it signed a token that has not expired
 * @param now epoch milliseconds
 */
export function mayRetire(
  { state, replacedAt }: SigningKeyRecord,
  hasUnexpired: boolean,
  now: number,
): boolean {
  if (state !== 'retiring' || replacedAt === null || hasUnexpired) return false;
  return now >= replacedAt + PUBLISHED_AFTER_MS;
}
