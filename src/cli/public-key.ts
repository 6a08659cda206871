/** The public half of a person's key, as the broker registers it. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { publicKeySchema, type PublicKey } from '../core/people.ts';
import { readInputFile } from './input-file.ts';
import { wrongUsage } from './problems.ts';

/** The members of a public key that its thumbprint is made of. */
export function publicJwkOf(key: KeyObject): { kty: 'OKP'; crv: 'Ed25519'; x: string } {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return { kty: 'OKP', crv: 'Ed25519', x: x ?? '' };
}

/** The public half of an Ed25519 private key, as a JWK with its RFC 7638 thumbprint as `kid`. */
export async function publicKeyOf(key: KeyObject): Promise<PublicKey & { kid: string }> {
  const jwk = publicJwkOf(key);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk, 'sha256'), alg: 'EdDSA', use: 'sig' };
}

/** Reads a public key from a file that `person keygen` made. @throws CliError */
export function readPublicKey(path: string): PublicKey {
  const text = readInputFile(path, 'public key');
  if (text.includes('PRIVATE KEY')) throw privateKeyGiven(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notPublicKey(path, 'is not JSON', error);
  }
  if (typeof value === 'object' && value !== null && 'd' in value) throw privateKeyGiven(path);
  const parsed = publicKeySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw notPublicKey(path, `${where === '' ? '' : `${where}: `}${issue?.message ?? 'not valid'}`);
}

const privateKeyGiven = (path: string) =>
  wrongUsage(
    `${path} holds a private key, which nobody but its owner should have. Give the file that ends in .pub.json.`,
  );

const notPublicKey = (path: string, why: string, cause?: unknown) =>
  wrongUsage(
    `${path} is not an Ed25519 public key as "sallyport person keygen" writes it (${why}).`,
    cause,
  );
