/** The keys that sign tokens: Ed25519 (RFC 8037), published at /oauth/jwks. Private halves are files. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { loadKeyFile, saveKeyFile, syncFolder } from '../lib/key-file.ts';

/** The public half: what checks a token. */
export interface VerificationKey {
  /** RFC 7638 thumbprint. */
  kid: string;
  publicKey: KeyObject;
  /** As it stands in the JWKS. */
  jwk: JWK & { x: string };
}

export interface SigningKey extends VerificationKey {
  privateKey: KeyObject;
}

/** Files of other names in the folder of keys are not the tokens'. */
const FILE_NAME = /^token(-[A-Za-z0-9_-]+)?\.pem$/;

/** A public key from its RFC 8037 `x`. */
export function verificationKey(x: string): VerificationKey {
  const bare = { crv: 'Ed25519', kty: 'OKP', x };
  // RFC 7638: the required members, in lexical order.
  const kid = createHash('sha256').update(JSON.stringify(bare)).digest('base64url');
  const publicKey = createPublicKey({ key: bare, format: 'jwk' });
  return { kid, publicKey, jwk: { ...bare, kid, alg: 'EdDSA', use: 'sig' } };
}

/**
 * Loads every token key of a folder, in the order of the files' names. A key is known by its kid, whatever
 * its file is called.
 *
 * @throws KeyFileError when one of them is open to others than its owner, or is no Ed25519 key
 */
export function loadSigningKeys(folder: string): { path: string; key: SigningKey }[] {
  return readdirSync(folder)
    .filter((name) => FILE_NAME.test(name))
    .sort()
    .map((name) => {
      const path = join(folder, name);
      return { path, key: signingKey(loadKeyFile(path)) };
    });
}

/** Makes a key in a file of its own, which is on disk when this returns. @throws KeyFileError */
export function makeSigningKey(folder: string): SigningKey {
  const key = newSigningKey();
  const path = join(folder, `token-${key.kid.slice(0, 16)}.pem`);
  // Under another name first: a crash may leave a part of a file, and what is named like a key has to be one.
  saveKeyFile(`${path}.part`, key.privateKey);
  renameSync(`${path}.part`, path);
  syncFolder(folder);
  return key;
}

/** Removes every file that holds this key. @throws KeyFileError, or when a file cannot be removed */
export function removeSigningKey(folder: string, kid: string): void {
  for (const { path, key } of loadSigningKeys(folder)) if (key.kid === kid) rmSync(path);
}

function newSigningKey(): SigningKey {
  for (;;) {
    const key = signingKey(generateKeyPairSync('ed25519').privateKey);
    // On a command line, a kid that begins with "-" would be taken for an option.
    if (!key.kid.startsWith('-')) return key;
  }
}

function signingKey(privateKey: KeyObject): SigningKey {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { ...verificationKey(x as string), privateKey };
}
