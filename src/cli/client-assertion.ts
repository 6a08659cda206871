/** Proves to the token endpoint who calls: a client assertion (RFC 7523), signed with the person's key. */
import { randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT, calculateJwkThumbprint } from 'jose';
import { publicJwkOf } from './public-key.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Seconds. Longer than a request takes, so that a clock which is a minute slow still works; the broker takes 300. */
const LIFETIME = 120;

/**
 * Signs an assertion for one request.
 *
 * @param issuer the broker's issuer, and no other of its addresses
 * @param now epoch milliseconds
 */
export async function signClientAssertion(
  key: KeyObject,
  personId: string,
  issuer: string,
  now: number,
): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  const kid = await calculateJwkThumbprint(publicJwkOf(key), 'sha256');
  return new SignJWT({})
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid })
    .setIssuer(personId)
    .setSubject(personId)
    .setAudience(issuer)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + LIFETIME)
    .setJti(randomUUID())
    .sign(key);
}
