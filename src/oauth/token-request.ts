/** The body of a request to the token endpoint (RFC 6749, RFC 9396), parsed to the letter. */
import { z } from 'zod';
import { idSchema } from '../core/ids.ts';
import { narrowingSchema } from '../core/narrowing.ts';
import { purposeSchema } from '../core/vocabulary.ts';
import { ASSERTION_TYPE } from './client-assertion.ts';
import { JWT_BEARER } from './lab-assertion.ts';

/** RFC 6749, section 5.2; RFC 9396, section 5; RFC 9449, sections 5 and 8; RFC 8707, section 2. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_authorization_details'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'
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
  ...narrowingSchema.shape,
});

/** Which access is asked for: one grant, one purpose, one run; and of the grant no more than is named. */
export type ModelAccess = z.infer<typeof modelAccessSchema>;

/** Who asks: a person with a key of their own, or with an assertion by their lab. */
export interface Credentials {
  /** RFC 7523, section 2.2: signed with the person's key. */
  clientAssertion: string | undefined;
  /** RFC 7523, section 2.1: signed by the person's lab. */
  labAssertion: string | undefined;
  clientId: string | undefined;
}

export interface TokenRequest extends Credentials {
  resource: string | undefined;
  /** Absent: a token of the control API is asked for. */
  access: ModelAccess | undefined;
}

/** The grant types of the token endpoint. */
export const GRANT_TYPES = ['client_credentials', JWT_BEARER] as const;

/**
 * Reads the form of a token request. Unknown parameters are ignored, as RFC 6749 section 3.2 demands.
 *
 * @throws OAuthError
 */
export function parseTokenRequest(sent: URLSearchParams): TokenRequest {
  const form = parametersOf(sent);
  const grantType = form.get('grant_type');
  if (!grantType) throw new OAuthError('invalid_request', 'The parameter "grant_type" is missing.');
  if (grantType !== 'client_credentials' && grantType !== JWT_BEARER) {
    throw new OAuthError(
      'unsupported_grant_type',
      `This server issues tokens for: ${GRANT_TYPES.join(', ')}.`,
    );
  }
  if (form.get('scope')) {
    throw new OAuthError(
      'invalid_scope',
      'Scopes are not used here. Name a grant in "authorization_details".',
    );
  }
  const labAssertion = grantType === JWT_BEARER ? form.get('assertion') : null;
  if (grantType === JWT_BEARER && labAssertion === null)
    throw new OAuthError('invalid_request', 'The parameter "assertion" is missing.');
  const details = form.get('authorization_details');
  return {
    // A lab's assertion speaks for itself; with one of the client beside it, both must hold.
    ...parseClient(form, labAssertion !== null),
    labAssertion: labAssertion ?? undefined,
    resource: form.get('resource') ?? undefined,
    access: details === null ? undefined : parseDetails(details),
  };
}

/** Reads the form of a request about a token: revocation (RFC 7009) or introspection (RFC 7662). @throws OAuthError */
export function parseAboutToken(sent: URLSearchParams): Credentials & { token: string } {
  const form = parametersOf(sent);
  const credentials = { ...parseClient(form, false), labAssertion: undefined };
  const token = form.get('token');
  if (!token) throw new OAuthError('invalid_request', 'The parameter "token" is missing.');
  return { ...credentials, token };
}

/** RFC 6749, section 3.2: no parameter is given more than once; one without a value counts as left out. */
function parametersOf(form: URLSearchParams): URLSearchParams {
  const seen = new Set<string>();
  for (const name of form.keys()) {
    // The name is the client's own text.
    if (seen.has(name)) {
      const what = /^[a-z_]{1,40}$/.test(name) ? `The parameter "${name}"` : 'A parameter';
      throw new OAuthError('invalid_request', `${what} is given more than once.`);
    }
    seen.add(name);
  }
  return new URLSearchParams([...form].filter(([, value]) => value !== ''));
}

function parseClient(
  form: URLSearchParams,
  optional: boolean,
): Pick<Credentials, 'clientAssertion' | 'clientId'> {
  const clientAssertion = form.get('client_assertion') ?? undefined;
  const clientId = form.get('client_id') ?? undefined;
  const type = form.get('client_assertion_type');
  if (clientAssertion === undefined && type === null && optional)
    return { clientAssertion, clientId };
  if (type !== ASSERTION_TYPE || !clientAssertion) {
    throw new OAuthError(
      'invalid_client',
      `Authenticate with "client_assertion" and "client_assertion_type=${ASSERTION_TYPE}".`,
    );
  }
  return { clientAssertion, clientId };
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
