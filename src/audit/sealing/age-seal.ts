/** Seals into the age format (c2sp.org/age), in parts as they come. No I/O. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { publicKeyOf } from '../../core/transcripts/recipients.ts';
import { FILE_KEY_BYTES, readyRecipient, writeHeader, type ReadyRecipient } from './age-header.ts';
import {
  CHUNK_BYTES,
  PAYLOAD_NONCE_BYTES,
  TAG_BYTES,
  chunkNonce,
  payloadKey,
} from './age-payload.ts';

/** One file on its way: what it hands back, put together, is the file. */
export interface SealedStream {
  /** Takes bytes of the plain text; hands back what is finished of the file. */
  update(plain: Uint8Array): Buffer[];
  /** Ends the file. */
  final(): Buffer[];
}

/** Recipients in use, with their keys: reading one costs more than encrypting to it. */
const ready = new Map<string, ReadyRecipient>();

/** More than grants in use have. What is forgotten is read once more. */
const MOST_READY = 4_096;

function readied(recipient: string): ReadyRecipient {
  let known = ready.get(recipient);
  if (!known) {
    known = readyRecipient(publicKeyOf(recipient));
    if (ready.size >= MOST_READY) ready.clear();
    ready.set(recipient, known);
  }
  return known;
}

/**
 * Begins a file. Its file key, and the ephemeral secrets that wrap it, serve for this file alone and are kept nowhere:
 * who seals cannot open.
 *
 * @param recipients age1…, at least one
 * @throws where one of them is none
 */
export function seal(recipients: readonly string[]): SealedStream {
  if (recipients.length === 0) throw new Error('There is nobody to seal it to.');
  const fileKey = randomBytes(FILE_KEY_BYTES);
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  const head = Buffer.concat([writeHeader(recipients.map(readied), fileKey), nonce]);
  return new PayloadSealer(head, payloadKey(fileKey, nonce));
}

class PayloadSealer implements SealedStream {
  readonly #key: Buffer;
  #counter = 0;
  /** Not handed out yet. */
  #head: Buffer | undefined;
  /** Less than a chunk, or a whole one of which it is not known whether it is the last. */
  readonly #held = Buffer.allocUnsafe(CHUNK_BYTES);
  #heldBytes = 0;

  constructor(head: Buffer, key: Buffer) {
    this.#head = head;
    this.#key = key;
  }

  update(plain: Uint8Array): Buffer[] {
    const out: Buffer[] = [];
    for (let at = 0; at < plain.length;) {
      if (this.#heldBytes === CHUNK_BYTES) out.push(this.#chunk(false));
      const taken = Math.min(CHUNK_BYTES - this.#heldBytes, plain.length - at);
      this.#held.set(plain.subarray(at, at + taken), this.#heldBytes);
      this.#heldBytes += taken;
      at += taken;
    }
    return out;
  }

  final(): Buffer[] {
    return [this.#chunk(true)];
  }

  #chunk(isLast: boolean): Buffer {
    const cipher = createCipheriv(
      'chacha20-poly1305',
      this.#key,
      chunkNonce(this.#counter, isLast),
      {
        authTagLength: TAG_BYTES,
      },
    );
    const body = cipher.update(this.#held.subarray(0, this.#heldBytes));
    cipher.final();
    const head = this.#head ?? Buffer.alloc(0);
    this.#head = undefined;
    this.#counter += 1;
    this.#heldBytes = 0;
    return Buffer.concat([head, body, cipher.getAuthTag()]);
  }
}
