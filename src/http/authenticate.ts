/** Who calls the control API: a bearer token in the Authorization header, and nowhere else (RFC 6750). */
import type { IncomingMessage } from 'node:http';
import { RefusedError, refuse } from '../core/denials.ts';
import type { Control } from './route.ts';

/**
 * The person that a request's token was issued to. What is refused here is counted, not logged one by one.
 *
 * @throws RefusedError with a code of status 401
 */
export async function authenticate(control: Control, req: IncomingMessage): Promise<string> {
  try {
    const token = await control.tokens.check(bearerOf(req), 'control');
    return token.personId;
  } catch (error) {
    if (error instanceof RefusedError)
      control.broker.unauthenticated.count('control', error.refusal.code);
    throw error;
  }
}

function bearerOf(req: IncomingMessage): string {
  // Node would silently take the first of several.
  const headers = req.headersDistinct['authorization'] ?? [];
  if (headers.length > 1) return refuse('conflicting_credentials');
  const [, token] = /^Bearer +(\S+) *$/i.exec(headers[0] ?? '') ?? [];
  return (
    token ??
    refuse(
      'missing_credential',
      'Send an access token of the control API as "Authorization: Bearer …".',
    )
  );
}

/** The challenge that a refusal carries, or undefined where it carries none. */
export function challengeFor(
  { refusal }: RefusedError,
  status: number,
  publicUrl: string,
): string | undefined {
  const metadata = `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/api/v1"`;
  if (refusal.code === 'role_required') return `Bearer error="insufficient_scope", ${metadata}`;
  if (status !== 401) return undefined;
  // RFC 6750, section 3.1: without a credential, no error code.
  return refusal.code === 'missing_credential'
    ? `Bearer ${metadata}`
    : `Bearer error="invalid_token", ${metadata}`;
}
