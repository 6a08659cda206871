/** JWK sets (RFC 7517): which keys of one are public keys that a signature can be checked with. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { labKeySchema, type LabKey } from '../core/people.ts';
import { hasSecretParts } from './jwk.ts';

const MOST_KEYS = 64;
const LEAST_RSA_BITS = 2048;

const PUBLIC_PARTS = new Set(['kty', 'crv', 'x', 'y', 'n', 'e', 'alg', 'use', 'kid']);

const setSchema = z.object({ keys: z.array(z.unknown()).max(MOST_KEYS) });

const keyOpsSchema = z.array(z.string()).optional();

/** A key of a lab, ready for use. */
export interface FoundKey {
  /** As published, or else the key's RFC 7638 thumbprint. */
  kid: string;
  jwk: LabKey;
  publicKey: KeyObject;
}

/**
 * Reads a JWK set. Keys that are of no use here are passed over one by one, as RFC 7517 section 5 has it:
 * shared and private ones, those for encryption, unknown types and curves, RSA below 2048 bits.
 *
 * @param set what the JSON parser made of it
 * @returns the usable keys, of which those of different types may share a `kid` (section 4.5)
 * @throws Error, with a sentence that quotes nothing, when it is no JWK set of at most 64 keys
 */
export async function readKeySet(set: unknown): Promise<FoundKey[]> {
  const parsed = setSchema.safeParse(set);
  if (!parsed.success) throw new Error(`It is not a JWK set of at most ${MOST_KEYS} keys.`);
  const keys = await Promise.all(parsed.data.keys.map(usableKey));
  return keys.filter((key) => key !== undefined);
}

async function usableKey(candidate: unknown): Promise<FoundKey | undefined> {
  if (typeof candidate !== 'object' || candidate === null) return undefined;
  if (hasSecretParts(candidate)) return undefined;
  const { key_ops: keyOps, ...members } = candidate as Record<string, unknown>;
  const uses = keyOpsSchema.safeParse(keyOps);
  if (!uses.success || uses.data?.includes('verify') === false) return undefined;
  // Certificates and the like may stand beside the key; they are not looked at.
  const known = Object.entries(members).filter(([name]) => PUBLIC_PARTS.has(name));
  const { success, data: jwk } = labKeySchema.safeParse(Object.fromEntries(known));
  if (!success) return undefined;
  const publicKey = importKey(jwk);
  return publicKey && { kid: jwk.kid ?? (await calculateJwkThumbprint(jwk)), jwk, publicKey };
}

/** Undefined where the numbers make no key, such as a point that is not on its curve. */
function importKey(jwk: LabKey): KeyObject | undefined {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    return undefined;
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  return bits === undefined || bits >= LEAST_RSA_BITS ? key : undefined;
}
