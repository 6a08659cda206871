/** Access tokens: JWTs by RFC 9068, signed by us and only ever accepted as such. */
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import type { KeyRing } from './key-ring.ts';
import type { SigningKey } from './signing-key.ts';

const ALGORITHM = 'EdDSA';
const TYPE = 'at+jwt';

/** Far more than any token of ours takes. */
const MOST_CHARACTERS = 8_192;

/** What we write, and not a member more: nothing that names a key in another way, or would be critical. */
const headerSchema = z.strictObject({
  alg: z.literal(ALGORITHM),
  typ: z.literal(TYPE),
  kid: z.string(),
});

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
  cnf: z.object({ jkt: z.string() }).optional(),
});

export type TokenAccess = z.infer<typeof accessSchema>;

export interface AccessToken {
  id: string;
  personId: string;
  audience: string;
  /** Epoch milliseconds, on a whole second. */
  issuedAt: number;
  expiresAt: number;
  /** RFC 7638 thumbprint of the key that it is bound to (RFC 9449). */
  jkt: string | null;
  /** Absent in a token of the control API. */
  access?: TokenAccess | undefined;
}

/** A token that was checked. */
export interface VerifiedToken extends AccessToken {
  /** Our key that signed it. */
  signingKid: string;
}

/** Signs a token. */
export function signAccessToken(
  key: SigningKey,
  issuer: string,
  token: AccessToken,
): Promise<string> {
  const cnf = token.jkt === null ? {} : { cnf: { jkt: token.jkt } };
  return new SignJWT({ client_id: token.personId, ...cnf, ...token.access })
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
 * any allowance for clock skew, since we signed it ourselves. Whether it was revoked, or the key that signed
 * it retired since, is decided elsewhere.
 *
 * @param keys which key signed it is said by its `kid`, among those whose tokens are good
 * @param now epoch milliseconds
 * @throws RefusedError with `token_expired` or `invalid_token`
 */
export async function verifyAccessToken(
  keys: Pick<KeyRing, 'accepted'>,
  expected: { issuer: string; audience: string },
  token: string,
  now: number,
): Promise<VerifiedToken> {
  if (token.length > MOST_CHARACTERS) return refuse('invalid_token');
  try {
    const { kid } = headerSchema.parse(decodeProtectedHeader(token));
    const key = keys.accepted(kid) ?? refuse('invalid_token');
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
      jkt: claims.cnf?.jkt ?? null,
      signingKid: kid,
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
