/** Client authentication with `private_key_jwt` (RFC 7523, section 3; OpenID Connect Core, section 9). */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import type { Person } from '../core/people.ts';
import { decoyOf } from './decoy-keys.ts';
import { keyKindOf } from './jwk.ts';
import {
  MalformedAssertion,
  hasPassed,
  isAhead,
  isSignedBy,
  isTooFar,
  readAssertion,
  rememberUntil,
  type Assertion,
} from './jwt-assertion.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** An assertion lives this long at most, so that the memory of used ones stays small. */
const LONGEST_LIFE_SECONDS = 300;

const claimsSchema = z.object({
  iss: z.string(),
  sub: z.string(),
  // RFC 7523bis: our issuer alone; an array or another of our URLs would let one server's assertion serve at another.
  aud: z.string(),
  jti: z.string().min(8).max(200),
  exp: z.int(),
  iat: z.int().optional(),
  nbf: z.int().optional(),
});

type PersonKey = Person['keys'][number];

export interface AuthenticatedClient {
  person: Person;
  /** What is used up with it: `kid` is the key that signed. */
  assertion: { kid: string; issuer: string; jti: string; expiresAt: number };
}

/**
 * Checks a client assertion against the keys of the person that it names. That its `jti` was not used
 * before is decided by the transaction that uses it up.
 *
 * @param find the person of an id
 * @param now epoch milliseconds
 * @throws RefusedError `invalid_client`, the same for every defect, so that nothing can be probed: one
 *   signature is checked, with a decoy where there is no such person or key
 */
export async function authenticateClient(
  jwt: string,
  issuer: string,
  find: (personId: string) => Person | undefined,
  now: number,
): Promise<AuthenticatedClient> {
  const assertion = read(jwt);
  const { iss } = assertion.claims;
  const person = typeof iss === 'string' ? find(iss) : undefined;
  const key = person && keyOf(person, assertion.kid);
  const signed = await isSignedBy(assertion, publicKeyOf(key?.x ?? DECOY_X));
  if (!person || !key || !signed) return refuse('invalid_client');
  const { success, data: claims } = claimsSchema.safeParse(assertion.claims);
  if (
    !success ||
    claims.iss !== person.id ||
    claims.sub !== person.id ||
    claims.aud !== issuer ||
    hasPassed(claims.exp, now) ||
    isTooFar(claims.exp, LONGEST_LIFE_SECONDS, now) ||
    isAhead(claims.iat ?? 0, now) ||
    isAhead(claims.nbf ?? 0, now)
  )
    return refuse('invalid_client');
  const { jti, exp } = claims;
  return {
    person,
    assertion: { kid: key.kid, issuer: person.id, jti, expiresAt: rememberUntil(exp) },
  };
}

function read(jwt: string): Assertion {
  try {
    const assertion = readAssertion(jwt, 'client-authentication+jwt');
    return keyKindOf(assertion.alg) === 'Ed25519' ? assertion : refuse('invalid_client');
  } catch (error) {
    if (error instanceof MalformedAssertion) return refuse('invalid_client');
    throw error;
  }
}

/** The key that an assertion says it is signed with. Only where there is one alone need it not say so. */
function keyOf({ keys, removedAt }: Person, kid: string | undefined): PersonKey | undefined {
  if (removedAt !== null) return undefined;
  if (kid !== undefined) return keys.find((key) => key.kid === kid);
  return keys.length === 1 ? keys[0] : undefined;
}

const DECOY_X = decoyOf('Ed25519').export({ format: 'jwk' }).x as string;

/** Imported at every try, the decoy as well: of keys that were kept, the first try would tell that they are known. */
function publicKeyOf(x: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

/** The RFC 7638 thumbprint of a public key: the `kid` that it is registered under. */
export function thumbprintOf(publicKey: { x: string }): Promise<string> {
  return calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x: publicKey.x }, 'sha256');
}
