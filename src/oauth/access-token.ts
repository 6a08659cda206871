/** Access tokens: JWTs by RFC 9068, signed by us and only ever accepted as such. */
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import type { SigningKey } from './signing-key.ts';

const ALGORITHM = 'EdDSA';
const TYPE = 'at+jwt';

/** What a token says beyond RFC 9068: what it gives access to. */
const accessSchema = z.object({
  grant: z.string(),
  grant_version: z.int(),
  /** State of the policy that the token was issued on. */
  epoch: z.int(),
  purpose: purposeSchema,
  run: z.string(),
});

const claimsSchema = z.object({
  iss: z.string(),
  sub: z.string(),
  aud: z.string(),
  client_id: z.string(),
  jti: z.string(),
  iat: z.int(),
  exp: z.int(),
});

export type TokenAccess = z.infer<typeof accessSchema>;

export interface AccessToken {
  id: string;
  personId: string;
  audience: string;
  /** Epoch milliseconds, on a whole second. */
  issuedAt: number;
  expiresAt: number;
  /** Absent in a token of the control API. */
  access?: TokenAccess | undefined;
}

/** Signs a token. */
export function signAccessToken(
  key: SigningKey,
  issuer: string,
  token: AccessToken,
): Promise<string> {
  return new SignJWT({ client_id: token.personId, ...token.access })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: key.kid })
    .setIssuer(issuer)
    .setSubject(token.personId)
    .setAudience(token.audience)
    .setJti(token.id)
    .setIssuedAt(Math.floor(token.issuedAt / 1000))
    .setExpirationTime(Math.floor(token.expiresAt / 1000))
    .sign(key.privateKey);
}

/**
 * Checks a token that is presented to us: type, algorithm, signature, issuer, audience, expiry; without
 * any allowance for clock skew, since we signed it ourselves. Whether it was revoked is decided elsewhere.
 *
 * @param now epoch milliseconds
 * @throws RefusedError with `token_expired` or `invalid_token`
 */
export async function verifyAccessToken(
  key: SigningKey,
  expected: { issuer: string; audience: string },
  token: string,
  now: number,
): Promise<AccessToken> {
  try {
    const { payload } = await jwtVerify(token, key.publicKey, {
      algorithms: [ALGORITHM],
      typ: TYPE,
      issuer: expected.issuer,
      audience: expected.audience,
      currentDate: new Date(now),
    });
    const claims = claimsSchema.parse(payload);
    if (claims.sub !== claims.client_id) return refuse('invalid_token');
    return {
      id: claims.jti,
      personId: claims.sub,
      audience: claims.aud,
      issuedAt: claims.iat * 1000,
      expiresAt: claims.exp * 1000,
      access: 'grant' in payload ? accessSchema.parse(payload) : undefined,
    };
  } catch (error) {
    if (error instanceof errors.JWTExpired) return refuse('token_expired');
    if (
      error instanceof errors.JOSEError ||
      error instanceof z.ZodError ||
      error instanceof TypeError
    )
      return refuse('invalid_token');
    throw error;
  }
}
