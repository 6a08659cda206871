/** What a 401 or 403 says of how to do better: RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1. */
import { DENIALS, type Refusal } from '../core/denials.ts';
import { DPOP_ALGORITHMS } from './dpop-proof.ts';

/**
 * The challenge of a refusal.
 *
 * @param metadataUrl where the protected resource describes itself
 * @returns the value of `WWW-Authenticate`, or undefined where a refusal carries none
 */
export function challengeFor({ code }: Refusal, metadataUrl: string): string | undefined {
  const metadata = `resource_metadata="${metadataUrl}"`;
  const algorithms = `algs="${DPOP_ALGORITHMS.join(' ')}"`;
  switch (code) {
    case 'missing_credential':
      // Without a credential, no error code.
      return `Bearer ${metadata}, DPoP ${algorithms}, ${metadata}`;
    case 'use_dpop_nonce':
    case 'invalid_dpop_proof':
      return `DPoP error="${code}", ${algorithms}, ${metadata}`;
    case 'dpop_required':
      return `DPoP error="invalid_token", ${algorithms}, ${metadata}`;
    case 'role_required':
    case 'purpose_not_granted':
    case 'endpoint_not_granted':
    case 'model_not_granted':
    case 'operation_not_granted':
    case 'feature_not_granted':
      return `Bearer error="insufficient_scope", ${metadata}`;
    default:
      return DENIALS[code].status === 401 ? `Bearer error="invalid_token", ${metadata}` : undefined;
  }
}
