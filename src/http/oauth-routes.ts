/** The OAuth endpoints: tokens (RFC 6749), revocation (RFC 7009), introspection (RFC 7662), keys, and metadata. */
import type { Express, Request, Response } from 'express';
import { introspectToken, type Introspected } from '../broker/introspect-token.ts';
import { issueToken, type GrantedAccess, type IssuedToken } from '../broker/issue-token.ts';
import { revokePresentedToken } from '../broker/revoke-token.ts';
import { DENIALS, type DenialCode } from '../core/denials.ts';
import { claimedClient } from '../oauth/claimed-client.ts';
import { OAuthError, parseAboutToken, parseTokenRequest } from '../oauth/token-request.ts';
import { oauthErrorAnswer } from './oauth-errors.ts';
import { authorizationServerMetadata, protectedResourceMetadata } from './oauth-metadata.ts';
import { bodyReader } from './read-body.ts';
import type { Control } from './route.ts';
import { refuseOtherMethods } from './serve-routes.ts';

const MOST_FORM_BYTES = 65_536;

/** Refusals of callers who did not show who they are; all others stand in the log one by one. */
const UNAUTHENTICATED: ReadonlySet<DenialCode> = new Set([
  'invalid_client',
  'invalid_request',
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'invalid_assertion',
  'assertion_replayed',
  'invalid_dpop_proof',
  'use_dpop_nonce',
  'lab_keys_unavailable',
  'too_many_failures',
]);

/** Those of them that somebody causes who guesses or replays: their answers are held back. */
const FAILED_TO_PROVE: ReadonlySet<DenialCode> = new Set([
  'invalid_client',
  'invalid_assertion',
  'assertion_replayed',
  'invalid_dpop_proof',
]);

interface Asked {
  form: URLSearchParams;
  req: Request;
}

/** Serves everything below /oauth and the well-known documents. */
export function serveOAuth(app: Express, control: Control): void {
  const { broker } = control;
  const read = bodyReader(MOST_FORM_BYTES);
  const post = (path: string, answer: (asked: Asked) => Promise<object | undefined>) => {
    app.post(path, async (req, res) => {
      // RFC 6749, section 5.1, asks for both.
      res.setHeader('pragma', 'no-cache');
      let form = new URLSearchParams();
      try {
        refuseOtherCredentials(req, res);
        form = await readForm(read, req, res);
        const body = await answer({ form, req });
        if (body) res.json(body);
        else res.status(200).end();
      } catch (error) {
        await answerError(control, error, { form, req }, res);
      }
    });
    refuseOtherMethods(app, path, ['post']);
  };
  const get = (path: string | RegExp, body: () => object, type = 'application/json'): void => {
    app.get(path, (_req, res) => void res.type(type).send(JSON.stringify(body())));
    refuseOtherMethods(app, path, ['get']);
  };

  post('/oauth/token', (asked) => answerToken(control, asked));
  post('/oauth/revoke', (asked) => answerRevocation(control, asked));
  post('/oauth/introspect', (asked) => answerIntrospection(control, asked));
  serveKeys(app, control);
  const serverPath = '/.well-known/oauth-authorization-server';
  get(serverPath, () => authorizationServerMetadata(control));
  // RFC 8414, section 3.1: where clients look that know the issuer alone.
  const { pathname: issuerPath } = new URL(broker.issuer);
  if (issuerPath !== '/')
    get(literally(`${serverPath}${issuerPath}`), () => authorizationServerMetadata(control));
  const resourcePath = '/.well-known/oauth-protected-resource';
  get(resourcePath, () => protectedResourceMetadata(control, control.publicUrl));
  for (const resource of Object.values(broker.audiences)) {
    const { pathname } = new URL(resource);
    if (pathname !== '/')
      get(`${resourcePath}${pathname}`, () => protectedResourceMetadata(control, resource));
  }
}

/** A route for one path alone: Express would read patterns into it. */
const literally = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}$`);

/** Partners keep the key set for as long as this says, so a new key is published at least twice as long before its use. */
function serveKeys(app: Express, { broker, jwksMaxAgeSeconds }: Control): void {
  app.get('/oauth/jwks', (_req, res) => {
    res.setHeader('cache-control', `public, max-age=${jwksMaxAgeSeconds}`);
    res
      .type('application/jwk-set+json')
      .send(JSON.stringify({ keys: broker.signingKeys.published() }));
  });
  refuseOtherMethods(app, '/oauth/jwks', ['get']);
}

/** RFC 6749, section 2.3: one way of authentication per request; and section 5.2 on the one that is not ours. */
function refuseOtherCredentials(req: Request, res: Response): void {
  const [scheme] = /^[A-Za-z-]{1,20}/.exec(req.headers.authorization ?? '') ?? [];
  if (req.headers.authorization === undefined) return;
  res.setHeader('www-authenticate', `${scheme ?? 'Basic'} realm="sallyport"`);
  throw new OAuthError(
    'invalid_client',
    'Clients authenticate with "client_assertion" here, and not with the Authorization header.',
  );
}

async function answerToken(control: Control, { form, req }: Asked): Promise<object> {
  const { broker, publicUrl } = control;
  // Only here: handing back must work for everybody behind an address, whoever fails there.
  broker.brake.admit(control.addressOf(req));
  const request = parseTokenRequest(form);
  const { audiences } = broker;
  const audience = request.access ? audiences.gateway : audiences.control;
  // The origin as a whole stands for both.
  if (request.resource !== undefined && ![audience, publicUrl].includes(request.resource)) {
    throw new OAuthError(
      'invalid_target',
      `This request is for a token of ${audience}. Leave "resource" out, or name that.`,
    );
  }
  const issued = await issueToken(broker, request, {
    proofs: req.headersDistinct['dpop'] ?? [],
    method: 'POST',
    url: `${publicUrl}/oauth/token`,
  });
  return {
    access_token: issued.token,
    token_type: issued.bound ? 'DPoP' : 'Bearer',
    // Whoever is told 0 takes the token for over.
    expires_in: Math.max(1, Math.floor((issued.expiresAt - broker.clock()) / 1000)),
    ...detailsOf(issued),
  };
}

/** What was granted, which may be less than what was asked for (RFC 9396, section 7). */
function detailsOf({ access }: Pick<IssuedToken, 'access'>): { authorization_details?: object[] } {
  return access ? { authorization_details: [detailOf(access)] } : {};
}

function detailOf(access: GrantedAccess): object {
  const { grant, purpose, run, runId, models, operations, features } = access;
  return {
    type: 'model_access',
    grant,
    purpose,
    run,
    run_id: runId,
    models,
    operations,
    features,
  };
}

/** RFC 7009: an answer without a body, whatever the token was. */
async function answerRevocation({ broker }: Control, { form }: Asked): Promise<undefined> {
  await revokePresentedToken(broker, parseAboutToken(form));
}

/** RFC 7662: of a token that is not good, nothing but that. */
async function answerIntrospection({ broker }: Control, { form }: Asked): Promise<object> {
  const found = await introspectToken(broker, parseAboutToken(form));
  return found ? { active: true, ...introspection(broker.issuer, found) } : { active: false };
}

function introspection(issuer: string, { token, access }: Introspected): object {
  return {
    iss: issuer,
    sub: token.personId,
    client_id: token.personId,
    aud: token.audience,
    jti: token.id,
    iat: token.issuedAt / 1000,
    exp: token.expiresAt / 1000,
    token_type: token.jkt === null ? 'Bearer' : 'DPoP',
    ...(token.jkt === null ? {} : { cnf: { jkt: token.jkt } }),
    ...(access ? detailsOf({ access }) : {}),
  };
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

async function answerError(
  control: Control,
  error: unknown,
  { form, req }: Asked,
  res: Response,
): Promise<void> {
  const { broker } = control;
  const { status, headers, body } = oauthErrorAnswer(error);
  if (UNAUTHENTICATED.has(body.code)) broker.unauthenticated.count('token_endpoint', body.code);
  if (FAILED_TO_PROVE.has(body.code))
    await broker.brake.hold(control.addressOf(req), claimedClient(form));
  if (DENIALS[body.code].status === 500) {
    const err = error instanceof Error ? (error.stack ?? error.message) : String(error);
    broker.log.error({ requestId: String(res.locals['requestId']), err }, 'unexpected error');
  }
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.status(status).json(body);
}
