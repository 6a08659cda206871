/**
 * Commitments to bodies: HMAC-SHA-256 (RFC 2104) under a salt of their own, so that an entry proves what was
 * said without saying it.
 */
import { createHmac, hash, randomFillSync, type Hmac } from 'node:crypto';

const SALT_BYTES = 16;

/** SHA-256 works in blocks of so many bytes. */
const BLOCK_BYTES = 64;

/** Up to here, copying a body costs less than an Hmac object. */
const SMALL_BYTES = 16_384;

/** Randomness for 256 salts at a time: asking for one costs as much. */
const pool = Buffer.alloc(256 * SALT_BYTES);
let used = pool.length;

/** A fresh salt, 16 random bytes. */
export function newSalt(): Buffer {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const salt = Buffer.from(pool.subarray(used, used + SALT_BYTES));
  pool.fill(0, used, used + SALT_BYTES);
  used += SALT_BYTES;
  return salt;
}

/** @returns the commitment in base64 */
export function commitmentTo(body: Uint8Array, salt: Uint8Array): string {
  if (body.length > SMALL_BYTES) return createHmac('sha256', salt).update(body).digest('base64');
  const inner = padded(salt, 0x36, body.length);
  inner.set(body, BLOCK_BYTES);
  const outer = padded(salt, 0x5c, 32);
  outer.set(hash('sha256', inner, 'buffer'), BLOCK_BYTES);
  return hash('sha256', outer, 'base64');
}

/** A block of the key, xored with the pad, and room behind it. */
function padded(key: Uint8Array, pad: number, room: number): Buffer {
  const block = Buffer.allocUnsafe(BLOCK_BYTES + room).fill(pad, 0, BLOCK_BYTES);
  for (let i = 0; i < key.length; i += 1) block[i] = (key[i] as number) ^ pad;
  return block;
}

/** A commitment to what comes in parts. One part, as most answers are, costs no more than a body. */
export class Commitment {
  readonly #salt: Uint8Array;
  #first: Uint8Array | undefined;
  #hmac: Hmac | undefined;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
  }

  update(part: Uint8Array): void {
    if (this.#hmac) this.#hmac.update(part);
    else if (this.#first === undefined) this.#first = part;
    else this.#hmac = createHmac('sha256', this.#salt).update(this.#first).update(part);
  }

  /** @returns the commitment in base64, or undefined where no part came */
  digest(): string | undefined {
    if (this.#hmac) return this.#hmac.digest('base64');
    return this.#first && commitmentTo(this.#first, this.#salt);
  }
}
