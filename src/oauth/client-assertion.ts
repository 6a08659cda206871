/** Client authentication with `private_key_jwt` (RFC 7523, section 3; OpenID Connect Core, section 9). */
import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  importJWK,
  jwtVerify,
} from 'jose';
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import type { Person } from '../core/people.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** What others sign may be off by this much. */
const SKEW_SECONDS = 30;

/** An assertion lives this long at most, so that the memory of used ones stays small. */
const LONGEST_LIFE_SECONDS = 300;

const claimsSchema = z.object({
  iss: z.string(),
  sub: z.string(),
  // RFC 7523bis: our issuer alone; an array or another of our URLs would let one server's assertion serve at another.
  aud: z.string(),
  jti: z.string().min(8).max(200),
  exp: z.int(),
});

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
 * @throws RefusedError `invalid_client`, the same for every defect, so that nothing can be probed
 */
export async function authenticateClient(
  jwt: string,
  issuer: string,
  find: (personId: string) => Person | undefined,
  now: number,
): Promise<AuthenticatedClient> {
  try {
    const { iss } = decodeJwt(jwt);
    const { kid } = decodeProtectedHeader(jwt);
    const person = typeof iss === 'string' ? find(iss) : undefined;
    if (!person || person.removedAt !== null) return refuse('invalid_client');
    for (const key of person.keys) {
      if (kid !== undefined && kid !== key.kid) continue;
      const client = await tryKey(jwt, issuer, person, key, now);
      if (client) return client;
    }
    return refuse('invalid_client');
  } catch (error) {
    if (
      error instanceof errors.JOSEError ||
      error instanceof z.ZodError ||
      error instanceof TypeError
    )
      return refuse('invalid_client');
    throw error;
  }
}

async function tryKey(
  jwt: string,
  issuer: string,
  person: Person,
  key: Person['keys'][number],
  now: number,
): Promise<AuthenticatedClient | undefined> {
  const publicKey = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: key.x }, 'EdDSA');
  try {
    const { payload } = await jwtVerify(jwt, publicKey, {
      algorithms: ['EdDSA', 'Ed25519'],
      issuer: person.id,
      subject: person.id,
      audience: issuer,
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(now),
    });
    const { exp, jti } = claimsSchema.parse(payload);
    if (exp * 1000 > now + (LONGEST_LIFE_SECONDS + SKEW_SECONDS) * 1000) return undefined;
    // Remembered for as long as it would still be accepted.
    return {
      person,
      assertion: {
        kid: key.kid,
        issuer: person.id,
        jti,
        expiresAt: (exp + SKEW_SECONDS) * 1000 + 1,
      },
    };
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return undefined;
    throw error;
  }
}

/** The RFC 7638 thumbprint of a public key: the `kid` that it is registered under. */
export function thumbprintOf(publicKey: { x: string }): Promise<string> {
  return calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x: publicKey.x }, 'sha256');
}
