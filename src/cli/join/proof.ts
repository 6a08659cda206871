/** Proves to the broker that whoever joins holds the key that they register. */
import { randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';

/** Seconds. Longer than a request takes, so that a clock which is a minute slow still works; the broker takes 300. */
const LIFETIME = 120;

/**
 * Signs a proof for one invitation.
 *
 * @param issuer the broker's issuer, and no other of its addresses
 * @param now epoch milliseconds
 */
export function signJoinProof(
  key: KeyObject,
  issuer: string,
  invitation: string,
  now: number,
): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  return new SignJWT({})
    .setProtectedHeader({ alg: 'EdDSA', typ: 'sallyport-join+jwt' })
    .setAudience(issuer)
    .setSubject(invitation)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + LIFETIME)
    .setJti(randomUUID())
    .sign(key);
}
