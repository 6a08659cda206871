/** The keys that sign tokens: Ed25519 (RFC 8037), published at /oauth/jwks. Private halves are files. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { loadKeyFile, saveKeyFile } from '../lib/key-file.ts';

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
  return keyFiles(folder)
    .sort()
    .map((name) => {
      const path = join(folder, name);
      return { path, key: signingKey(loadKeyFile(path)) };
    });
}

/** Makes a key in a file of its own, which is on disk when this returns. @throws KeyFileError */
export function makeSigningKey(folder: string): SigningKey {
  const key = newSigningKey();
  saveKeyFile(join(folder, fileName(key.kid)), key.privateKey);
  return key;
}

/**
 * Removes every file that holds this key. Neither that others may read it nor what else lies in the folder is
 * a reason to keep it.
 *
 * @throws when a file cannot be removed
 */
export function removeSigningKey(folder: string, kid: string): void {
  for (const name of keyFiles(folder)) {
    const path = join(folder, name);
    const found = kidIn(path);
    if (found === kid || (found === undefined && name === fileName(kid))) rmSync(path);
  }
}

/**
 * Removes what a process that was killed left of files that it was making: whole private keys, it may be.
 *
 * @returns the names of the files
 * @throws when one cannot be removed
 */
export function removeParts(folder: string): string[] {
  const parts = readdirSync(folder).filter((name) => name.endsWith('.part'));
  for (const name of parts) rmSync(join(folder, name));
  return parts;
}

const keyFiles = (folder: string): string[] =>
  readdirSync(folder).filter((name) => FILE_NAME.test(name));

const fileName = (kid: string): string => `token-${kid.slice(0, 16)}.pem`;

/** The key that a file holds, whatever its mode; undefined where it cannot be read as a token key. */
function kidIn(path: string): string | undefined {
  try {
    return signingKey(createPrivateKey(readFileSync(path))).kid;
  } catch {
    // Whether it is to be removed all the same, its name says.
    return undefined;
  }
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
