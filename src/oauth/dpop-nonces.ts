/** Nonces of the server for DPoP proofs (RFC 9449, section 8), made from the time, so that none is stored. */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { isSameText } from '../lib/same-text.ts';

/** A nonce is current for one to two steps. */
const STEP_MS = 300_000;
const SECRET_BYTES = 32;
const MAC_BYTES = 16;

export class DpopNonces {
  readonly #secret: KeyObject;
  #step = Number.NaN;
  #ofStep = '';
  #ofStepBefore = '';

  /**
   * @param secret at least 32 random bytes, known to nobody else
   * @throws RangeError when it is shorter
   */
  constructor(secret: Uint8Array) {
    if (secret.length < SECRET_BYTES)
      throw new RangeError(`The secret of nonces needs at least ${SECRET_BYTES} bytes.`);
    this.#secret = createSecretKey(secret);
  }

  /**
   * The nonce to hand out: 32 characters of base64url.
   *
   * @param now epoch milliseconds
   */
  current(now: number): string {
    this.#moveTo(now);
    return this.#ofStep;
  }

  /**
   * Whether a proof may carry this nonce: that of this step or of the one before.
   *
   * @param now epoch milliseconds
   */
  isCurrent(nonce: string, now: number): boolean {
    this.#moveTo(now);
    const isOfStep = isSameText(nonce, this.#ofStep);
    const isOfStepBefore = isSameText(nonce, this.#ofStepBefore);
    return isOfStep || isOfStepBefore;
  }

  #moveTo(now: number): void {
    const step = Math.floor(now / STEP_MS);
    if (step === this.#step) return;
    this.#step = step;
    this.#ofStep = this.#nonceOf(step);
    this.#ofStepBefore = this.#nonceOf(step - 1);
  }

  #nonceOf(step: number): string {
    const number = Buffer.alloc(8);
    number.writeBigInt64BE(BigInt(step));
    const mac = createHmac('sha256', this.#secret).update(number).digest().subarray(0, MAC_BYTES);
    return Buffer.concat([number, mac]).toString('base64url');
  }
}
