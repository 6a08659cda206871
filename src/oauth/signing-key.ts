/** The key that signs access tokens. Ed25519 (RFC 8037), published at /oauth/jwks. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { createKeyFile, loadKeyFile } from '../lib/key-file.ts';

export interface SigningKey {
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** Public half, as it stands in the JWKS. */
  jwk: JWK;
}

/** Loads the token signing key, or makes it where there is none yet: tokens are short-lived, a new key ends them all. */
export async function openSigningKey(path: string): Promise<SigningKey> {
  const privateKey = existsSync(path) ? loadKeyFile(path) : createKeyFile(path);
  const publicKey = createPublicKey(privateKey);
  const bare = publicKey.export({ format: 'jwk' }) as JWK;
  const kid = await calculateJwkThumbprint(bare, 'sha256');
  return { kid, privateKey, publicKey, jwk: { ...bare, kid, alg: 'EdDSA', use: 'sig' } };
}
