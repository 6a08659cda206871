/**
 * Commitments to bodies: HMAC-SHA-256 (RFC 2104) under a salt of their own, so that an entry proves what was
 * said without saying it.
 */
import { createHmac, hash, randomFillSync, type Hmac } from 'node:crypto';

const SALT_BYTES = 16;

/** SHA-256 works in blocks of so many bytes, and makes so many. */
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

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
  const salt = Buffer.allocUnsafe(SALT_BYTES);
  pool.copy(salt, 0, used, used + SALT_BYTES);
  pool.fill(0, used, used + SALT_BYTES);
  used += SALT_BYTES;
  return salt;
}

/** What is hashed, in the place of the last: a block of the key, xored with the pad, and a body, or the first hash. */
const inner = Buffer.alloc(BLOCK_BYTES + SMALL_BYTES, INNER_PAD);
const outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES, OUTER_PAD);

/**
 * @param salt of `newSalt`
 * @returns the commitment in base64
 */
export function commitmentTo(body: Uint8Array, salt: Uint8Array): string {
  if (body.length > SMALL_BYTES) return createHmac('sha256', salt).update(body).digest('base64');
  for (let i = 0; i < SALT_BYTES; i += 1) {
    const byte = salt[i] as number;
    inner[i] = byte ^ INNER_PAD;
    outer[i] = byte ^ OUTER_PAD;
  }
  inner.set(body, BLOCK_BYTES);
  // As text, a character for a byte: a buffer for each would cost as much as the hash.
  const first = hash('sha256', inner.subarray(0, BLOCK_BYTES + body.length), 'binary');
  outer.write(first, BLOCK_BYTES, 'latin1');
  return hash('sha256', outer, 'base64');
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
