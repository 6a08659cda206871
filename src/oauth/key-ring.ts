/** The keys that sign tokens, in the states that the store keeps of them, and the files of their private halves. */
import type { JWK } from 'jose';
import type { SigningKeyRecord, SigningKeyState } from '../core/signing-keys.ts';
import {
  loadSigningKeys,
  makeSigningKey,
  removeParts,
  removeSigningKey,
  verificationKey,
  type SigningKey,
  type VerificationKey,
} from './signing-key.ts';

interface KeyInUse {
  state: Exclude<SigningKeyState, 'retired'>;
  key: VerificationKey;
}

/**
 * In step with the store: {@link apply} takes every change of a key's state before anybody hears of its
 * commit, as the policy in memory does.
 */
export class KeyRing {
  readonly #folder: string;
  /** Private halves at hand, also of keys that the store does not know yet. */
  readonly #held = new Map<string, SigningKey>();
  readonly #inUse = new Map<string, KeyInUse>();
  /** No longer used, and their files still there; true where removing one has failed. */
  readonly #spent = new Map<string, boolean>();
  #active: SigningKey | undefined;

  /**
   * @param folder of the private halves
   * @throws KeyFileError when a key there cannot be used
   */
  constructor(folder: string) {
    this.#folder = folder;
    for (const { key } of loadSigningKeys(folder)) this.#held.set(key.kid, key);
  }

  /** Signs. */
  get active(): SigningKey {
    if (!this.#active) throw new Error('No key signs tokens.');
    return this.#active;
  }

  /** A key whose tokens are good: the active one and those that retire. */
  accepted(kid: string): VerificationKey | undefined {
    const found = this.#inUse.get(kid);
    return found && found.state !== 'next' ? found.key : undefined;
  }

  /** The JWKS: the next key, too, so that it is known before it is used. */
  published(): JWK[] {
    return [...this.#inUse.values()].map(({ key }) => key.jwk);
  }

  /** Whether time alone will change something: a key waits for its turn, or for its last token to expire. */
  get isChanging(): boolean {
    return [...this.#inUse.values()].some(({ state }) => state !== 'active');
  }

  /** Takes over what the store keeps of a key. */
  apply({ kid, x, state }: SigningKeyRecord): void {
    if (this.#active?.kid === kid) this.#active = undefined;
    if (state === 'retired') {
      this.#inUse.delete(kid);
      if (this.#held.delete(kid)) this.#spent.set(kid, false);
      return;
    }
    const held = this.#held.get(kid);
    if (state === 'active') this.#active = held;
    this.#inUse.set(kid, { state, key: held ?? verificationKey(x) });
  }

  /** Public halves, as the store keeps them, of the keys whose private halves are at hand. */
  get held(): { kid: string; x: string }[] {
    return [...this.#held.values()].map(({ kid, jwk }) => ({ kid, x: jwk.x }));
  }

  /**
   * Makes a key and its file, for a transaction to put to use. A file that no transaction has put to use
   * signs nothing.
   *
   * @throws KeyFileError
   */
  make(): { kid: string; x: string } {
    const key = makeSigningKey(this.#folder);
    this.#held.set(key.kid, key);
    return { kid: key.kid, x: key.jwk.x };
  }

  /** Gives up a key that was made and not put to use. One that is in use stays. */
  discardUnused(kid: string): void {
    if (!this.#inUse.has(kid) && this.#held.delete(kid)) this.#spent.set(kid, false);
  }

  /**
   * Removes the files of keys that nobody uses any more. What cannot be removed stays for the next call.
   *
   * @returns the kids of keys that are gone, and of those that failed for the first time, with the reason
   */
  removeSpent(): { removed: string[]; failed: { kid: string; why: string }[] } {
    const removed: string[] = [];
    const failed: { kid: string; why: string }[] = [];
    for (const [kid, hasFailed] of this.#spent) {
      try {
        removeSigningKey(this.#folder, kid);
        this.#spent.delete(kid);
        removed.push(kid);
      } catch (error) {
        if (!hasFailed) failed.push({ kid, why: String(error) });
        this.#spent.set(kid, true);
      }
    }
    return { removed, failed };
  }

  /**
   * Removes what a crash left of files in the making. For the start, when nobody makes one.
   *
   * @returns the names of the files
   * @throws when one cannot be removed
   */
  removeParts(): string[] {
    return removeParts(this.#folder);
  }
}
