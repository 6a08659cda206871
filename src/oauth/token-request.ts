/** The body of a request to the token endpoint (RFC 6749, RFC 9396), parsed to the letter. */
import { z } from 'zod';
import { idSchema } from '../core/ids.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import { ASSERTION_TYPE } from './client-assertion.ts';

/** RFC 6749, section 5.2, and RFC 9396, section 5. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_authorization_details'
  | 'access_denied'
  | 'temporarily_unavailable';

/** An error as the token endpoint answers it. */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode;

  constructor(code: OAuthErrorCode, description: string) {
    super(description);
    this.name = 'OAuthError';
    this.code = code;
  }
}

const runNameSchema = z
  .string()
  .min(1)
  .max(120)
  .regex(/^[\p{L}\p{N} ._:/#@+-]+$/u, 'takes letters, digits, space and . _ : / # @ + -');

const modelAccessSchema = z.strictObject({
  type: z.literal('model_access'),
  grant: idSchema('grt'),
  purpose: purposeSchema,
  run: runNameSchema,
});

/** Which access is asked for: one grant, one purpose, one run. */
export type ModelAccess = z.infer<typeof modelAccessSchema>;

export interface TokenRequest {
  assertion: string;
  clientId: string | undefined;
  resource: string | undefined;
  /** Absent: a token of the control API is asked for. */
  access: ModelAccess | undefined;
}

const KNOWN = [
  'grant_type',
  'client_assertion_type',
  'client_assertion',
  'client_id',
  'authorization_details',
  'resource',
  'scope',
];

/**
 * Reads a form. Duplicate parameters are refused, as RFC 6749 section 3.2 demands; unknown ones ignored.
 *
 * @throws OAuthError
 */
export function parseTokenRequest(form: URLSearchParams): TokenRequest {
  for (const name of KNOWN) {
    if (form.getAll(name).length > 1)
      throw new OAuthError('invalid_request', `The parameter "${name}" is given more than once.`);
  }
  const grantType = form.get('grant_type');
  if (!grantType) throw new OAuthError('invalid_request', 'The parameter "grant_type" is missing.');
  if (grantType !== 'client_credentials') {
    throw new OAuthError(
      'unsupported_grant_type',
      'This server issues tokens for "client_credentials" only.',
    );
  }
  if (form.get('scope'))
    throw new OAuthError(
      'invalid_scope',
      'Scopes are not used here. Name a grant in "authorization_details".',
    );
  const assertion = form.get('client_assertion');
  if (form.get('client_assertion_type') !== ASSERTION_TYPE || !assertion) {
    throw new OAuthError(
      'invalid_client',
      `Authenticate with "client_assertion" and "client_assertion_type=${ASSERTION_TYPE}".`,
    );
  }
  const details = form.get('authorization_details');
  return {
    assertion,
    clientId: form.get('client_id') ?? undefined,
    resource: form.get('resource') ?? undefined,
    access: details === null ? undefined : parseDetails(details),
  };
}

function parseDetails(text: string): ModelAccess {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OAuthError('invalid_authorization_details', '"authorization_details" is not JSON.');
  }
  const parsed = z.tuple([modelAccessSchema]).safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    throw new OAuthError(
      'invalid_authorization_details',
      `"authorization_details" must be a list of one {"type":"model_access","grant":…,"purpose":…,"run":…}${where ? `; at ${where}: ${issue?.message}` : ''}.`,
    );
  }
  return parsed.data[0];
}
