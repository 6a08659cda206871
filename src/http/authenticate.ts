/** Who calls the control API: a token in the Authorization header, and nowhere else (RFC 6750, RFC 9449). */
import type { Request } from 'express';
import { RefusedError, refuse } from '../core/denials.ts';
import type { AccessToken } from '../oauth/access-token.ts';
import { parseAuthorization, type Credential } from '../oauth/authorization-header.ts';
import type { Control } from './route.ts';

/**
 * The token that a request shows; the person that it was issued to is who asks. What is refused here is counted, not logged one by one.
 *
 * @throws RefusedError with a code of status 401
 */
export async function authenticate(control: Control, req: Request): Promise<AccessToken> {
  try {
    return await control.tokens.check(
      {
        ...credentialOf(req),
        proofs: req.headersDistinct['dpop'] ?? [],
        method: req.method,
        url: `${control.publicUrl}${req.path}`,
      },
      'control',
    );
  } catch (error) {
    if (error instanceof RefusedError)
      control.broker.unauthenticated.count('control', error.refusal.code);
    throw error;
  }
}

function credentialOf(req: Request): Credential {
  // Node would silently take the first of several.
  const headers = req.headersDistinct['authorization'] ?? [];
  if (headers.length > 1) return refuse('conflicting_credentials');
  return (
    parseAuthorization(headers[0] ?? '') ??
    refuse(
      'missing_credential',
      'Send an access token of the control API as "Authorization: Bearer …".',
    )
  );
}
