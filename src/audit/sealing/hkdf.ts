/** HKDF-SHA-256 (RFC 5869) for keys of 32 bytes: two HMACs. `hkdfSync` of node:crypto takes several times as long. */
import { createHmac } from 'node:crypto';

const FIRST_BLOCK = Buffer.of(1);

/** @returns 32 bytes */
export function hkdf(ikm: Uint8Array, salt: Uint8Array, info: string): Buffer {
  const extracted = createHmac('sha256', salt).update(ikm).digest();
  return createHmac('sha256', extracted).update(info).update(FIRST_BLOCK).digest();
}
