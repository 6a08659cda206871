/** What a 401 or 403 says of how to do better: RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1. */
import { DENIALS, type DenialCode, type Refusal } from '../core/denials.ts';
import { DPOP_ALGORITHMS } from './dpop-proof.ts';

/** Refusals of somebody known, for whom a token with more in it would do. */
const NOT_IN_SCOPE: ReadonlySet<DenialCode> = new Set([
  'role_required',
  'purpose_not_granted',
  'endpoint_not_granted',
  'model_not_granted',
  'operation_not_granted',
  'feature_not_granted',
]);

/** What a refusal over a proof is called where the proof is asked for. */
const DPOP_ERROR: Partial<Record<DenialCode, string>> = {
  use_dpop_nonce: 'use_dpop_nonce',
  invalid_dpop_proof: 'invalid_dpop_proof',
  dpop_required: 'invalid_token',
};

/**
 * The challenge of a refusal.
 *
 * @param metadataUrl where the protected resource describes itself
 * @param authorization the Authorization header that was refused: the challenge is in its scheme
 * @returns the value of `WWW-Authenticate`, or undefined where a refusal carries none
 */
export function challengeFor(
  { code }: Refusal,
  metadataUrl: string,
  authorization = '',
): string | undefined {
  const metadata = `resource_metadata="${metadataUrl}"`;
  const algorithms = `algs="${DPOP_ALGORITHMS.join(' ')}"`;
  // RFC 6750, section 3.1: without a credential, no error code.
  if (code === 'missing_credential') return `Bearer ${metadata}, DPoP ${algorithms}, ${metadata}`;
  const error = DPOP_ERROR[code];
  if (error !== undefined) return `DPoP error="${error}", ${algorithms}, ${metadata}`;
  const scheme = /^dpop /i.test(authorization) ? `DPoP ${algorithms},` : 'Bearer';
  const challenge = (name: string): string => `${scheme} error="${name}", ${metadata}`;
  if (NOT_IN_SCOPE.has(code)) return challenge('insufficient_scope');
  if (code === 'conflicting_credentials') return challenge('invalid_request');
  return DENIALS[code].status === 401 ? challenge('invalid_token') : undefined;
}
