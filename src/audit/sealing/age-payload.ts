/** The payload of an age file (c2sp.org/age): STREAM with ChaCha20-Poly1305 in chunks of 64 KiB. */
import { hkdf } from './hkdf.ts';

export const CHUNK_BYTES = 65_536;
export const TAG_BYTES = 16;
export const PAYLOAD_NONCE_BYTES = 16;

const CHUNK_NONCE_BYTES = 12;

export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): Buffer =>
  hkdf(fileKey, nonce, 'payload');

/** A counter of 11 bytes, big-endian, and whether it is the last chunk. */
export function chunkNonce(counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(CHUNK_NONCE_BYTES);
  // 2^48 chunks are 16 exbibytes.
  nonce.writeUIntBE(counter, CHUNK_NONCE_BYTES - 7, 6);
  nonce[CHUNK_NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}
