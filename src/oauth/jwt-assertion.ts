/**
 * What all JWT assertions that others sign have in common (RFC 7521, RFC 7523): their form, their
 * algorithms, and what their times may be off by.
 */
import type { KeyObject } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader, errors } from 'jose';
import { z } from 'zod';
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from './jwk.ts';

const MOST_BYTES = 8_192;

/** What others sign may be off by this much, up to and including it. */
export const SKEW_MS = 30_000;

/** Headers that would have us take a key from the assertion itself, or extensions that we do not know. */
const REFUSED_HEADERS = ['crit', 'jku', 'x5u', 'x5c', 'jwk'];

const headerSchema = z.object({
  alg: z.enum(
    SIGNATURE_ALGORITHMS,
    'Sign the assertion with an asymmetric algorithm: EdDSA, or one of the ES, PS and RS families.',
  ),
  kid: z
    .string({ error: 'The "kid" of the assertion must be a string.' })
    .max(200, 'The "kid" of the assertion must have at most 200 characters.')
    .optional(),
  typ: z.string({ error: 'The "typ" of the assertion must be a string.' }).optional(),
});

/** An assertion that is not well formed. Its message says how, and quotes nothing. */
export class MalformedAssertion extends Error {}

export interface Assertion {
  jwt: string;
  alg: SignatureAlgorithm;
  kid: string | undefined;
  /** Nothing of this is to be believed before {@link isSignedBy} has said so. */
  claims: Record<string, unknown>;
}

/**
 * Takes an assertion apart and checks its form. Nothing that we know enters into it, so that its errors
 * may say what is wrong.
 *
 * @param type the one `typ` that is taken beside `JWT` and none
 * @throws MalformedAssertion
 */
export function readAssertion(jwt: string, type: string): Assertion {
  if (Buffer.byteLength(jwt) > MOST_BYTES)
    throw new MalformedAssertion(`The assertion is larger than ${MOST_BYTES} bytes.`);
  const { header, claims } = decode(jwt);
  const refused = REFUSED_HEADERS.find((name) => Object.hasOwn(header, name));
  if (refused !== undefined)
    throw new MalformedAssertion(`The header "${refused}" is not allowed in the assertion.`);
  const { success, data, error } = headerSchema.safeParse(header);
  if (!success) throw new MalformedAssertion(error.issues[0]?.message);
  const { alg, kid, typ } = data;
  if (typ !== undefined && !['jwt', type].includes(mediaType(typ)))
    throw new MalformedAssertion(
      `The "typ" of the assertion must be "${type}" or "JWT", or be left out.`,
    );
  return { jwt, alg, kid, claims };
}

function decode(jwt: string): { header: object; claims: Record<string, unknown> } {
  try {
    return { header: decodeProtectedHeader(jwt), claims: decodeJwt(jwt) };
  } catch (error) {
    // What jose throws for a text that is no JWT.
    if (!(error instanceof errors.JOSEError) && !(error instanceof TypeError)) throw error;
    throw new MalformedAssertion('The assertion is not a signed JWT.', { cause: error });
  }
}

/** RFC 7515, section 4.1.9: case does not matter, and "application/" may be left out. */
function mediaType(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '');
}

/** Checks an assertion's signature, once. The key must be of its algorithm's kind. */
export async function isSignedBy({ jwt, alg }: Assertion, key: KeyObject): Promise<boolean> {
  try {
    await compactVerify(jwt, key, { algorithms: [alg] });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}

/** Whether an `exp`, in seconds, has passed at `now`, in epoch milliseconds. */
export const hasPassed = (exp: number, now: number): boolean => now > exp * 1000 + SKEW_MS;

/** Whether an `iat` or `nbf`, in seconds, lies in the future of `now`, in epoch milliseconds. */
export const isAhead = (seconds: number, now: number): boolean => seconds * 1000 > now + SKEW_MS;

/** Whether an `exp`, in seconds, lies more than `life` seconds ahead of `now`, in epoch milliseconds. */
export const isTooFar = (exp: number, life: number, now: number): boolean =>
  isAhead(exp - life, now);

/** Until when, in epoch milliseconds, the `jti` of an assertion is remembered: past the last moment it is taken. */
export const rememberUntil = (exp: number): number => exp * 1000 + SKEW_MS + 1;
