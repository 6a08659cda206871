/** Opens age files (c2sp.org/age), in parts as they come. No I/O. */
import { createDecipheriv, type KeyObject } from 'node:crypto';
import { AgeFailure } from './age-failure.ts';
import { readHeader, unwrapFileKey } from './age-header.ts';
import {
  CHUNK_BYTES,
  PAYLOAD_NONCE_BYTES,
  TAG_BYTES,
  chunkNonce,
  payloadKey,
} from './age-payload.ts';

const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

/** Opens one file. What it hands out is authentic, each part by itself; that it is whole, only `end` says. */
export class AgeOpener {
  readonly #identities: readonly KeyObject[];
  #key: Buffer | undefined;
  #held: Buffer = Buffer.alloc(0);
  #counter = 0;

  constructor(identities: readonly KeyObject[]) {
    this.#identities = identities;
  }

  /**
   * Takes the next bytes of the file; hands out what they open.
   *
   * @throws AgeFailure
   */
  push(bytes: Uint8Array): Buffer[] {
    this.#held = Buffer.concat([this.#held, bytes]);
    if (!this.#key && !this.#readHead()) return [];
    const out: Buffer[] = [];
    // A chunk of which nothing follows may be the last one, which is encrypted in another way.
    while (this.#held.length > SEALED_CHUNK_BYTES) {
      out.push(this.#open(this.#held.subarray(0, SEALED_CHUNK_BYTES), false) ?? changed());
      this.#held = this.#held.subarray(SEALED_CHUNK_BYTES);
    }
    return out;
  }

  /**
   * Opens the last chunk.
   *
   * @throws AgeFailure `cut` where what is there is right, and its end is missing
   */
  end(): Buffer {
    if (!this.#key) throw new AgeFailure('cut', 'It ends within its header.');
    const last = this.#held;
    const plain = last.length < TAG_BYTES ? undefined : this.#open(last, true);
    // Only a whole payload that is empty has an empty chunk.
    if (plain && (plain.length > 0 || this.#counter === 1)) return plain;
    if (last.length === SEALED_CHUNK_BYTES && !plain && this.#open(last, false, this.#counter))
      throw new AgeFailure('cut', 'Its end is missing.');
    if (last.length < SEALED_CHUNK_BYTES)
      throw new AgeFailure('cut', 'Its end is missing, or was changed.');
    return changed();
  }

  #readHead(): boolean {
    const header = readHeader(this.#held);
    if (!header || this.#held.length < header.length + PAYLOAD_NONCE_BYTES) return false;
    const fileKey = unwrapFileKey(header, this.#identities);
    const begins = header.length + PAYLOAD_NONCE_BYTES;
    this.#key = payloadKey(fileKey, this.#held.subarray(header.length, begins));
    this.#held = this.#held.subarray(begins);
    return true;
  }

  #open(sealed: Buffer, isLast: boolean, counter = this.#counter): Buffer | undefined {
    const nonce = chunkNonce(counter, isLast);
    const decipher = createDecipheriv('chacha20-poly1305', this.#key as Buffer, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    this.#counter = counter + 1;
    return plain;
  }
}

function changed(): never {
  throw new AgeFailure('changed', 'It was changed since it was sealed.');
}
