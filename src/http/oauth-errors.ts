/** What the OAuth endpoints answer when they refuse: RFC 6749, section 5.2; RFC 9396, section 5; RFC 9449, section 5. */
import { DENIALS, RefusedError, refusal, type DenialCode } from '../core/denials.ts';
import { OAuthError, type OAuthErrorCode } from '../oauth/token-request.ts';
import { retryAfterSeconds } from './problem.ts';

/** An error answer. `code` is ours: the reason from the closed list, as the audit log has it. */
export interface OAuthErrorAnswer {
  status: number;
  headers: Record<string, string>;
  body: { error: OAuthErrorCode | 'server_error'; error_description: string; code: DenialCode };
}

/** What each of our reasons is in the words of the standards. What is not named here is `invalid_request`. */
const OAUTH_CODE_OF: Partial<Record<DenialCode, OAuthErrorCode>> = {
  invalid_client: 'invalid_client',
  assertion_replayed: 'invalid_client',
  invalid_assertion: 'invalid_grant',
  // The assertion, or the grant's window, ends within this second.
  token_expired: 'invalid_grant',
  invalid_dpop_proof: 'invalid_dpop_proof',
  dpop_required: 'invalid_dpop_proof',
  use_dpop_nonce: 'use_dpop_nonce',
  lab_keys_unavailable: 'temporarily_unavailable',
  too_many_failures: 'temporarily_unavailable',
  too_many_tokens: 'temporarily_unavailable',
  too_busy: 'temporarily_unavailable',
  log_unavailable: 'temporarily_unavailable',
  shutting_down: 'temporarily_unavailable',
  // What was asked for is not in the grant.
  grant_unknown: 'invalid_authorization_details',
  purpose_not_granted: 'invalid_authorization_details',
  endpoint_not_granted: 'invalid_authorization_details',
  model_not_granted: 'invalid_authorization_details',
  operation_not_granted: 'invalid_authorization_details',
  feature_not_granted: 'invalid_authorization_details',
  // It is, but this person may not have it, or not now.
  person_removed: 'unauthorized_client',
  person_not_on_grant: 'unauthorized_client',
  terms_not_accepted: 'unauthorized_client',
  access_handed_back: 'unauthorized_client',
  run_ended: 'invalid_authorization_details',
  role_required: 'unauthorized_client',
  grant_not_active: 'unauthorized_client',
  grant_not_started: 'unauthorized_client',
  grant_expired: 'unauthorized_client',
  grant_revoked: 'unauthorized_client',
  grant_closed: 'unauthorized_client',
  access_suspended: 'unauthorized_client',
  grant_suspended: 'unauthorized_client',
  lab_suspended: 'unauthorized_client',
  endpoint_suspended: 'unauthorized_client',
  model_suspended: 'unauthorized_client',
  person_suspended: 'unauthorized_client',
};

/** RFC 6749 knows 400 and, for a client that did not authenticate, 401. Unavailability is plain HTTP. */
const STATUS_OF: Partial<Record<OAuthErrorCode, number>> = {
  invalid_client: 401,
  temporarily_unavailable: 503,
};

/** The answer to an error. Anything that is not a refusal comes out as `unexpected`, with nothing of it shown. */
export function oauthErrorAnswer(error: unknown): OAuthErrorAnswer {
  if (error instanceof OAuthError) {
    const code = error.code === 'invalid_client' ? 'invalid_client' : 'invalid_request';
    return answer(error.code, error.message, code);
  }
  const why = error instanceof RefusedError ? error.refusal : refusal('unexpected');
  if (DENIALS[why.code].status === 500) {
    return {
      status: 500,
      headers: {},
      body: { error: 'server_error', error_description: ascii(why.message), code: why.code },
    };
  }
  const seconds = retryAfterSeconds(why);
  return answer(
    OAUTH_CODE_OF[why.code] ?? 'invalid_request',
    why.message,
    why.code,
    seconds === undefined ? {} : { 'retry-after': String(seconds) },
  );
}

function answer(
  error: OAuthErrorCode,
  message: string,
  code: DenialCode,
  headers: Record<string, string> = {},
): OAuthErrorAnswer {
  return {
    // Too many failures, or tokens: RFC 6585.
    status: DENIALS[code].status === 429 ? 429 : (STATUS_OF[error] ?? 400),
    headers,
    body: { error, error_description: ascii(message), code },
  };
}

/** RFC 6749 allows printable ASCII without quotation marks and backslashes. */
function ascii(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll('…', '...')
    .replaceAll(/[–—]/g, '-')
    .replaceAll(/[‘’“”]/g, "'")
    .replaceAll(/[^\x20-\x7e]/g, '?');
}
