/**
 * Keys that nothing is signed with. Where there is no right key, a signature is checked with one of these
 * and refused whatever comes out, so that timing does not tell an unknown name from a wrong key.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import type { KeyKind } from './jwk.ts';

const DECOYS: Record<KeyKind, KeyObject> = {
  Ed25519: generateKeyPairSync('ed25519').publicKey,
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
  'P-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey,
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey,
  RSA: rsaLookalike(),
};

/** The decoy of a kind; of RSA keys, one of 2048 bits. */
export const decoyOf = (kind: KeyKind): KeyObject => DECOYS[kind];

/** Nobody need be able to sign with it: any odd number does for a modulus, and takes no time to find. */
function rsaLookalike(): KeyObject {
  const modulus = randomBytes(256);
  modulus[0]! |= 0x80;
  modulus[255]! |= 0x01;
  const n = modulus.toString('base64url');
  return createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
}
