/** A partner lab's word for one of its people: the authorization grant of RFC 7523, section 2.1. */
import { z } from 'zod';
import { RefusedError, refuse } from '../core/denials.ts';
import type { LabIdentity } from '../core/people.ts';
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
import type { FoundKey } from './key-set.ts';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** So that the memory of used assertions stays small. */
const LONGEST_LIFE_SECONDS = 3_600;

const integer = (name: string): z.ZodInt =>
  z.int({ error: `The "${name}" of the assertion must be a whole number of seconds.` });

const claimsSchema = z.object({
  iss: z.string(),
  sub: z
    .string({ error: 'The "sub" of the assertion must be a string.' })
    .min(1, 'The "sub" of the assertion must not be empty.')
    .max(255, 'The "sub" of the assertion must have at most 255 characters.'),
  // RFC 7523bis: sole value, also as the only member of an array.
  aud: z.union([z.string(), z.tuple([z.string()]).transform(([sole]) => sole)], {
    error: 'The "aud" of the assertion must be one string, the issuer of this server.',
  }),
  exp: integer('exp'),
  iat: integer('iat'),
  nbf: integer('nbf').optional(),
  jti: z
    .string({ error: 'The "jti" of the assertion must be a string.' })
    .min(8, 'The "jti" of the assertion must have at least 8 characters.')
    .max(200, 'The "jti" of the assertion must have at most 200 characters.'),
});

type Claims = z.infer<typeof claimsSchema>;

/** What an assertion is held against. */
export interface LabAssertionFacts {
  /** Ours: the only audience that is taken. */
  issuer: string;
  tokenEndpoint: string;
  /** Epoch milliseconds. */
  now: number;
  /** The lab that is registered with an issuer. */
  findLab: (issuer: string) => { id: string; identity: LabIdentity } | undefined;
  /** The lab's keys that go by a `kid`. */
  findKeys: (labId: string, identity: LabIdentity, kid: string | undefined) => Promise<FoundKey[]>;
}

export interface LabAssertion {
  labId: string;
  /** What the lab calls the person. */
  subject: string;
  /** What is used up with it. `identitySetAt` is the registration that it was checked against. */
  assertion: {
    kid: string;
    issuer: string;
    jti: string;
    /** Epoch milliseconds: the `jti` is remembered through this moment. */
    expiresAt: number;
    identitySetAt: number;
  };
  /** `exp` in epoch milliseconds: no token outlives it. Within the skew it may have passed. */
  endsAt: number;
}

/**
 * Checks the assertion that a lab signed for one of its people (RFC 7523, section 3; audience as in
 * RFC 7523bis). Who the person is, and that the `jti` was not used before, is decided elsewhere.
 *
 * @throws RefusedError `invalid_assertion`: with one and the same sentence for an unknown issuer, a wrong
 *   key and a bad signature, for each of which one signature is checked; with a sentence of its own for
 *   each other rule. `lab_keys_unavailable` where the lab's keys are not known.
 */
export async function verifyLabAssertion(
  jwt: string,
  facts: LabAssertionFacts,
): Promise<LabAssertion> {
  const assertion = read(jwt);
  const { iss } = assertion.claims;
  const lab = typeof iss === 'string' ? facts.findLab(iss) : undefined;
  const key = lab && (await findFittingKey(assertion, lab, facts.findKeys));
  const decoy = decoyOf(keyKindOf(assertion.alg));
  const signed = await isSignedBy(assertion, key?.publicKey ?? decoy);
  if (!lab || !key || !signed || iss !== lab.identity.issuer) return refuse('invalid_assertion');
  const claims = checkClaims(assertion.claims, facts);
  return {
    labId: lab.id,
    subject: claims.sub,
    assertion: {
      kid: key.kid,
      issuer: claims.iss,
      jti: claims.jti,
      expiresAt: rememberUntil(claims.exp),
      identitySetAt: lab.identity.setAt,
    },
    endsAt: claims.exp * 1000,
  };
}

function read(jwt: string): Assertion {
  try {
    return readAssertion(jwt, 'authorization-grant+jwt');
  } catch (error) {
    if (error instanceof MalformedAssertion) return refuse('invalid_assertion', error.message);
    throw error;
  }
}

/**
 * The key that the assertion says it is signed with: the one of its `kid` that its algorithm fits. Of two that
 * nothing tells apart, neither is taken (RFC 7517, section 4.5).
 */
async function findFittingKey(
  { alg, kid }: Assertion,
  { id, identity }: { id: string; identity: LabIdentity },
  findKeys: LabAssertionFacts['findKeys'],
): Promise<FoundKey | undefined> {
  try {
    const found = await findKeys(id, identity, kid);
    const [only, another] = found.filter((key) => fits(key, alg));
    return another ? undefined : only;
  } catch (error) {
    if (error instanceof RefusedError && error.refusal.code === 'invalid_assertion')
      return undefined;
    throw error;
  }
}

function fits({ jwk }: FoundKey, alg: Assertion['alg']): boolean {
  const kind = keyKindOf(alg);
  if (kind !== (jwk.kty === 'RSA' ? 'RSA' : jwk.crv)) return false;
  // EdDSA and Ed25519 are two names of one algorithm here (RFC 9864).
  return jwk.alg === undefined || jwk.alg === alg || kind === 'Ed25519';
}

function checkClaims(unchecked: object, { issuer, tokenEndpoint, now }: LabAssertionFacts): Claims {
  const { success, data: claims, error } = claimsSchema.safeParse(unchecked);
  if (!success) return refuse('invalid_assertion', error.issues[0]?.message);
  const refuseIf = (broken: boolean, why: string): void => {
    if (broken) refuse('invalid_assertion', why);
  };
  refuseIf(
    claims.aud === tokenEndpoint && tokenEndpoint !== issuer,
    `The "aud" of the assertion is the address of the token endpoint. It must be the issuer of this server, ${issuer}.`,
  );
  refuseIf(
    claims.aud !== issuer,
    `The "aud" of the assertion is another server. It must be the issuer of this one, ${issuer}.`,
  );
  refuseIf(hasPassed(claims.exp, now), 'The assertion has expired. Make a new one.');
  refuseIf(
    isTooFar(claims.exp, LONGEST_LIFE_SECONDS, now),
    `The "exp" of the assertion must be at most ${LONGEST_LIFE_SECONDS} seconds ahead.`,
  );
  refuseIf(
    isAhead(claims.iat, now),
    'The "iat" of the assertion lies in the future. Check the clock.',
  );
  refuseIf(
    claims.nbf !== undefined && isAhead(claims.nbf, now),
    'The assertion is not valid yet: its "nbf" lies in the future.',
  );
  return claims;
}
