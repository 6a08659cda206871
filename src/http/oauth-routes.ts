/** The OAuth endpoints: tokens (RFC 6749), revocation (RFC 7009), keys, and metadata. */
import type { Express, Request, Response } from 'express';
import { issueToken, type IssuedToken } from '../broker/issue-token.ts';
import { revokePresentedToken } from '../broker/revoke-token.ts';
import { ASSERTION_TYPE } from '../oauth/client-assertion.ts';
import { OAuthError, parseTokenRequest } from '../oauth/token-request.ts';
import { oauthErrorAnswer } from './oauth-errors.ts';
import { authorizationServerMetadata, protectedResourceMetadata } from './oauth-metadata.ts';
import { bodyReader } from './read-body.ts';
import type { Control } from './route.ts';
import { refuseOtherMethods } from './serve-routes.ts';

const MOST_FORM_BYTES = 65_536;

/** Refusals of callers who did not show who they are; all others stand in the log one by one. */
const UNAUTHENTICATED = new Set(['invalid_client', 'invalid_request', 'assertion_replayed']);

/** Serves everything below /oauth and the well-known documents. */
export function serveOAuth(app: Express, control: Control): void {
  const read = bodyReader(MOST_FORM_BYTES);
  const post = (path: string, answer: (form: URLSearchParams) => Promise<object | undefined>) => {
    app.post(path, async (req, res) => {
      // RFC 6749, section 5.1, asks for both.
      res.setHeader('pragma', 'no-cache');
      try {
        const body = await answer(await readForm(read, req, res));
        if (body) res.json(body);
        else res.status(200).end();
      } catch (error) {
        answerError(control, error, res);
      }
    });
    refuseOtherMethods(app, path, ['post']);
  };
  const get = (path: string, body: object, type = 'application/json'): void => {
    app.get(path, (_req, res) => void res.type(type).send(JSON.stringify(body)));
    refuseOtherMethods(app, path, ['get']);
  };

  post('/oauth/token', (form) => answerToken(control, form));
  post('/oauth/revoke', (form) => answerRevocation(control, form));
  get('/oauth/jwks', { keys: [control.broker.signingKey.jwk] }, 'application/jwk-set+json');
  get('/.well-known/oauth-authorization-server', authorizationServerMetadata(control));
  const resourcePath = '/.well-known/oauth-protected-resource';
  get(resourcePath, protectedResourceMetadata(control, control.publicUrl));
  for (const resource of Object.values(control.broker.audiences)) {
    const { pathname } = new URL(resource);
    if (pathname !== '/')
      get(`${resourcePath}${pathname}`, protectedResourceMetadata(control, resource));
  }
}

async function answerToken({ broker, publicUrl }: Control, form: URLSearchParams): Promise<object> {
  const request = parseTokenRequest(form);
  const { gateway, control } = broker.audiences;
  const audience = request.access ? gateway : control;
  // The origin as a whole stands for both.
  if (request.resource !== undefined && ![audience, publicUrl].includes(request.resource)) {
    throw new OAuthError(
      'invalid_target',
      `This request is for a token of ${audience}. Leave "resource" out, or name that.`,
    );
  }
  const issued = await issueToken(broker, request);
  return {
    access_token: issued.token,
    token_type: 'Bearer',
    expires_in: Math.max(0, Math.floor((issued.expiresAt - broker.clock()) / 1000)),
    ...detailsOf(issued),
  };
}

/** What was granted, which may be less than what was asked for (RFC 9396, section 7). */
function detailsOf({ access }: IssuedToken): object {
  if (!access) return {};
  const { type, grant, purpose, run, runId, models, operations, features } = access;
  return {
    authorization_details: [
      { type, grant, purpose, run, run_id: runId, models, operations, features },
    ],
  };
}

/** RFC 7009: an answer without a body, whatever the token was. */
async function answerRevocation({ broker }: Control, form: URLSearchParams): Promise<undefined> {
  const parameters = ['token', 'client_assertion', 'client_assertion_type', 'client_id'];
  for (const name of [...parameters, 'token_type_hint']) {
    if (form.getAll(name).length > 1)
      throw new OAuthError('invalid_request', `The parameter "${name}" is given more than once.`);
  }
  const assertion = form.get('client_assertion');
  if (form.get('client_assertion_type') !== ASSERTION_TYPE || !assertion) {
    throw new OAuthError(
      'invalid_client',
      `Authenticate with "client_assertion" and "client_assertion_type=${ASSERTION_TYPE}".`,
    );
  }
  const token = form.get('token');
  if (!token) throw new OAuthError('invalid_request', 'The parameter "token" is missing.');
  const clientId = form.get('client_id') ?? undefined;
  await revokePresentedToken(broker, { assertion, clientId, token });
}

async function readForm(
  read: ReturnType<typeof bodyReader>,
  req: Request,
  res: Response,
): Promise<URLSearchParams> {
  const type = req.headers['content-type'] ?? '';
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new OAuthError(
      'invalid_request',
      'Send the parameters as "application/x-www-form-urlencoded".',
    );
  }
  return new URLSearchParams(await read(req, res));
}

function answerError({ broker }: Control, error: unknown, res: Response): void {
  const { status, headers, body } = oauthErrorAnswer(error);
  if (UNAUTHENTICATED.has(body.code)) broker.unauthenticated.count('token_endpoint', body.code);
  if (body.code === 'unexpected') {
    const err = error instanceof Error ? (error.stack ?? error.message) : String(error);
    broker.log.error({ requestId: String(res.locals['requestId']), err }, 'unexpected error');
  }
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.status(status).json(body);
}
