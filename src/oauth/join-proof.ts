/** Proof that whoever joins holds the private half of the key that they register. */
import { createPublicKey } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import type { PublicKey } from '../core/people.ts';
import { thumbprintOf } from './client-assertion.ts';
import { keyKindOf } from './jwk.ts';
import {
  MalformedAssertion,
  hasPassed,
  isAhead,
  isSignedBy,
  isTooFar,
  readAssertion,
} from './jwt-assertion.ts';

/** So that nothing else a key has signed serves here, nor this anywhere else. */
const JOIN_PROOF_TYPE = 'sallyport-join+jwt';

const LONGEST_LIFE_SECONDS = 300;

const claimsSchema = z.object({
  aud: z.string(),
  sub: z.string(),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(8).max(200),
});

/**
 * Checks a proof (RFC 7519, RFC 8037). Its `jti` need not be remembered: it names one invitation, which
 * is used up with it, and one key, which is registered once for ever.
 *
 * @param issuer ours, which the proof must be addressed to
 * @param now epoch milliseconds
 * @returns the RFC 7638 thumbprint of the key
 * @throws RefusedError `invalid_request`
 */
export async function checkJoinProof(
  proof: string,
  publicKey: PublicKey,
  issuer: string,
  invitationId: string,
  now: number,
): Promise<string> {
  try {
    const assertion = readAssertion(proof, JOIN_PROOF_TYPE);
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.x },
      format: 'jwk',
    });
    const isOurs =
      decodeProtectedHeader(proof).typ === JOIN_PROOF_TYPE &&
      keyKindOf(assertion.alg) === 'Ed25519' &&
      (await isSignedBy(assertion, key));
    if (!isOurs) {
      return notValid(
        `It must be a JWT with the "typ" ${JOIN_PROOF_TYPE}, signed by the key that is registered.`,
      );
    }
    const { aud, sub, iat, exp } = claimsSchema.parse(assertion.claims);
    if (aud !== issuer) return notValid(`Its "aud" must be "${issuer}".`);
    if (sub !== invitationId) return notValid('Its "sub" must be the id of the invitation.');
    if (hasPassed(exp, now) || isAhead(iat, now) || isTooFar(exp, LONGEST_LIFE_SECONDS, now)) {
      return notValid(
        `It must be made now ("iat") and end within ${LONGEST_LIFE_SECONDS} s ("exp"): is the clock of your machine right?`,
      );
    }
    return await thumbprintOf(publicKey);
  } catch (error) {
    if (error instanceof MalformedAssertion) return notValid(error.message);
    if (error instanceof z.ZodError)
      return notValid('It takes the claims aud, sub, iat, exp and jti.');
    throw error;
  }
}

function notValid(why: string): never {
  return refuse(
    'invalid_request',
    `The proof that you hold the private half of the key is not valid. ${why}`,
    { param: 'proof' },
  );
}
