/** Reasons for which a request, or the token that it is made with, is refused. */
import { later, no, type Denial } from './denial.ts';

export const REQUEST_DENIALS = {
  // Who is asking
  missing_credential: no(
    401,
    'authentication_error',
    'Send an access token as "Authorization: Bearer …" or as "x-api-key".',
  ),
  conflicting_credentials: no(
    400,
    'invalid_request_error',
    'Two different credentials were sent. Send one.',
  ),
  invalid_token: no(
    401,
    'authentication_error',
    'The access token is not one that this broker issued for this use. Get a new one.',
  ),
  token_expired: no(401, 'authentication_error', 'The access token has expired. Get a new one.'),
  token_revoked: no(
    401,
    'authentication_error',
    'The access token has been revoked. Ask your lead or the host lab why.',
  ),
  invalid_client: no(
    401,
    'authentication_error',
    'The broker knows no such person with this key. Check the person id and the key; a removed person or key gives the same answer.',
  ),
  assertion_replayed: no(
    401,
    'authentication_error',
    'This client assertion was used before. Make a new one, with a new jti.',
  ),
  invalid_assertion: no(
    400,
    'invalid_request_error',
    'The assertion is not one that this broker accepts for anybody. Check its issuer, audience, key and times.',
  ),
  lab_keys_unavailable: later(
    503,
    'api_error',
    "The lab's public keys cannot be fetched, so nothing that it signed is trusted. Try again soon.",
  ),
  invalid_dpop_proof: no(
    401,
    'authentication_error',
    'The proof of possession (DPoP) is missing or not valid.',
  ),
  use_dpop_nonce: no(
    401,
    'authentication_error',
    'The proof of possession needs the nonce of the DPoP-Nonce header. Make a new proof with it.',
  ),
  dpop_required: no(
    401,
    'authentication_error',
    'This access is bound to a key. Prove possession with DPoP: "sallyport connect" does it for any SDK.',
  ),
  too_many_tokens: later(
    429,
    'rate_limit_error',
    'This person has as many live tokens as one may have. Hand some back ("sallyport token revoke"), or wait until they have expired.',
  ),
  too_many_failures: later(
    429,
    'rate_limit_error',
    'Too many attempts from this address have failed. Wait as Retry-After says.',
  ),
  invitation_not_valid: no(
    403,
    'permission_error',
    'This invitation does not exist, was used, was withdrawn or has expired. Ask whoever sent it for a new one.',
  ),
  person_removed: no(
    403,
    'permission_error',
    'This person has been removed. Ask the lab that registered them.',
  ),
  role_required: no(403, 'permission_error', 'Your role does not allow this.'),

  // What the grant says
  grant_unknown: no(403, 'permission_error', 'There is no such grant for you. Check the grant id.'),
  grant_not_active: no(
    403,
    'permission_error',
    'The grant is not active. See its state with "sallyport grant show".',
  ),
  grant_not_started: no(403, 'permission_error', "The grant's window has not begun yet."),
  grant_expired: no(403, 'permission_error', "The grant's window has ended. Ask for a new grant."),
  grant_revoked: no(403, 'permission_error', 'The grant has been revoked by the host lab.'),
  grant_closed: no(403, 'permission_error', 'The grant has been handed back by the partner lab.'),
  person_not_on_grant: no(
    403,
    'permission_error',
    'You are not on the roster of this grant. Ask your lead.',
  ),
  terms_not_accepted: no(
    403,
    'permission_error',
    'Accept the terms of the grant first: "sallyport grant accept".',
  ),
  purpose_not_granted: no(403, 'permission_error', 'The grant does not allow this purpose.'),
  endpoint_not_granted: no(403, 'permission_error', 'The grant does not cover this endpoint.'),
  model_not_granted: no(
    403,
    'permission_error',
    'The grant does not cover this model. Name a pinned model version exactly.',
  ),
  operation_not_granted: no(403, 'permission_error', 'The grant does not allow this operation.'),
  feature_not_granted: no(403, 'permission_error', 'The grant does not allow this feature.'),
  network_not_allowed: no(
    403,
    'permission_error',
    'The grant does not allow requests from this network address.',
  ),

  never_granted: no(
    403,
    'permission_error',
    'The host lab never grants this, whoever approves it. Leave it out.',
  ),
  attribute_required: no(
    403,
    'permission_error',
    'The grant requires an attribute that is not known of you. Your lead or the host lab sets it.',
  ),
  review_missed: no(
    403,
    'permission_error',
    'The review of this grant was missed, so it is suspended. Ask the host lab to review it.',
  ),
  access_handed_back: no(
    403,
    'permission_error',
    'You handed your access under this grant back. To have it again, ask your lead for a new grant.',
  ),
  run_ended: no(
    403,
    'permission_error',
    'This run was ended. Give further work a run name of its own.',
  ),
  roster_full: no(
    409,
    'invalid_request_error',
    "The grant's cap on people is reached, open invitations counted. Withdraw one, or ask for a new grant.",
  ),

  // Orders in force
  access_suspended: no(
    403,
    'permission_error',
    'All access through this broker is suspended by an order.',
  ),
  grant_suspended: no(403, 'permission_error', 'The grant is suspended by an order.'),
  lab_suspended: no(403, 'permission_error', 'Access of this lab is suspended by an order.'),
  endpoint_suspended: no(403, 'permission_error', 'The endpoint is suspended by an order.'),
  model_suspended: no(403, 'permission_error', 'The model is suspended by an order.'),
  person_suspended: no(403, 'permission_error', 'Access of this person is suspended by an order.'),
  run_suspended: no(403, 'permission_error', 'The run is suspended by an order.'),
  token_suspended: no(403, 'permission_error', 'The token is suspended by an order.'),
  purpose_suspended: no(403, 'permission_error', 'The purpose is suspended by an order.'),
  feature_suspended: no(403, 'permission_error', 'The feature is suspended by an order.'),
  network_suspended: no(
    403,
    'permission_error',
    'Access from this network is suspended by an order.',
  ),
  safeguard_put_back: no(
    403,
    'permission_error',
    'A safeguard that was lifted here has been put back by an order.',
  ),

  // Limits and budgets
  request_rate_limited: later(
    429,
    'rate_limit_error',
    'The limit of requests per minute is reached. Wait as Retry-After says.',
  ),
  token_rate_limited: later(
    429,
    'rate_limit_error',
    'The limit of tokens per minute is reached. Wait as Retry-After says.',
  ),
  concurrency_limited: later(
    429,
    'rate_limit_error',
    'The limit of concurrent requests is reached. Wait until one of yours has ended.',
  ),
  budget_in_use: later(
    429,
    'rate_limit_error',
    'What is left of the budget is reserved by requests in flight. Wait until they have ended.',
  ),
  quota_exhausted: no(
    403,
    'permission_error',
    'The budget of the grant is used up. Ask your lead.',
  ),
  request_too_large_for_limit: no(
    403,
    'permission_error',
    'This one request may use more tokens than the limit ever allows. Lower its maximum of output tokens or send less.',
  ),

  // Malformed input
  invalid_json: no(400, 'invalid_request_error', 'The body is not valid JSON in UTF-8.'),
  invalid_request: no(400, 'invalid_request_error', 'The request is not well formed.'),
  unknown_field: no(
    400,
    'invalid_request_error',
    'The body has a field that this gateway does not know.',
  ),
  body_too_large: no(400, 'invalid_request_error', 'The body is larger than this broker accepts.'),
  headers_too_large: no(
    431,
    'invalid_request_error',
    'The headers are larger than this broker accepts.',
  ),
  unsupported_media_type: no(
    415,
    'invalid_request_error',
    'Send the body as "application/json", not compressed.',
  ),
  method_not_allowed: no(405, 'invalid_request_error', 'This path does not take that method.'),
  unknown_path: no(404, 'not_found_error', 'This broker does not offer that path.'),
  not_supported: no(400, 'invalid_request_error', 'That is not supported by this version.'),
} as const satisfies Record<string, Denial>;
