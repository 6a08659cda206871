/**
 * The other side of lab-assertion.ts: this lab's word for one of its people, for the broker of another lab
 * (RFC 7523, section 2.1).
 */
import { SignJWT } from 'jose';
import type { SigningKey } from './signing-key.ts';

export interface Vouching {
  /** Our issuer identifier. */
  issuer: string;
  /** What this lab calls the person. */
  subject: string;
  /** Issuer of the one broker that is to take it. */
  audience: string;
  jti: string;
  /** Epoch milliseconds, on whole seconds. */
  issuedAt: number;
  expiresAt: number;
}

/**
 * Signs an assertion. Its type keeps it from being taken for an access token, which the same key signs, and
 * an access token from being taken for it.
 */
export function signVouching(key: SigningKey, vouching: Vouching): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: 'EdDSA', typ: 'authorization-grant+jwt', kid: key.kid })
    .setIssuer(vouching.issuer)
    .setSubject(vouching.subject)
    .setAudience(vouching.audience)
    .setJti(vouching.jti)
    .setIssuedAt(vouching.issuedAt / 1000)
    .setExpirationTime(vouching.expiresAt / 1000)
    .sign(key.privateKey);
}
