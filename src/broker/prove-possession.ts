/** Proofs of possession (RFC 9449), at the token endpoint and where tokens are used. */
import { refuse } from '../core/denials.ts';
import { verifyDpopProof } from '../oauth/dpop-proof.ts';
import type { UsedProof } from '../store/operations/used-once.ts';
import type { Broker } from './broker.ts';

/** What a request says of the key that its sender holds. */
export interface Possession {
  /** Values of every DPoP header that was sent. */
  proofs: readonly string[];
  method: string;
  /** As clients see it, without a query. */
  url: string;
}

/**
 * Checks the proof of a request: its signature, what it was made for, its nonce. It is not used up yet.
 *
 * @param accessToken the token that it is presented with, where one is
 * @returns undefined where there is no proof
 * @throws RefusedError `invalid_dpop_proof` or `use_dpop_nonce`
 */
export async function checkPossession(
  { clock, nonces }: Broker,
  { proofs, method, url }: Possession,
  accessToken?: string,
): Promise<UsedProof | undefined> {
  const [proof, ...more] = proofs;
  if (proof === undefined) return undefined;
  if (more.length > 0)
    return refuse('invalid_dpop_proof', 'More than one DPoP header was sent. Send one proof.');
  const { jkt, jti, expiresAt, nonce } = await verifyDpopProof(proof, {
    method,
    url,
    ...(accessToken === undefined ? {} : { accessToken }),
    now: clock(),
  });
  if (nonce === undefined || !nonces.isCurrent(nonce, clock())) return refuse('use_dpop_nonce');
  return { jkt, jti, expiresAt };
}
