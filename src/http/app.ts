/** The control plane as an Express app: OAuth endpoints, the control API, its documentation. */
import express, { type ErrorRequestHandler, type Express } from 'express';
import helmet from 'helmet';
import type { Broker } from '../broker/broker.ts';
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { challengeFor } from '../oauth/challenge.ts';
import { ClientGone } from './client-gone.ts';
import { serveOAuth } from './oauth-routes.ts';
import { openApiDocument } from './openapi.ts';
import { problemOf, retryAfterSeconds } from './problem.ts';
import { ROUTES } from './route-table.ts';
import type { Control } from './route.ts';
import { serveRoutes } from './serve-routes.ts';

/** The API serves no pages, so a browser is to load and frame nothing. */
const NOTHING_LOADS = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};

/**
 * Makes the app. It answers every path: what it does not know with 404, so whatever else shares its
 * server is mounted before it.
 *
 */
export function createControlApp(
  broker: Broker,
  parts: Pick<Control, 'tokens' | 'jwksMaxAgeSeconds' | 'addressOf'>,
): Express {
  const { publicUrl } = broker;
  let document: object | undefined;
  const control: Control = {
    ...parts,
    broker,
    publicUrl,
    openApiDocument: () => (document ??= openApiDocument(ROUTES, publicUrl)),
  };
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.set('query parser', 'simple');
  app.use(helmet({ contentSecurityPolicy: NOTHING_LOADS }));
  app.use((req, res, next) => {
    const requestId = mintId('req', broker.clock());
    res.locals['requestId'] = requestId;
    res.setHeader('x-request-id', requestId);
    res.setHeader('cache-control', 'no-store');
    // RFC 9449, section 8.2: who proves possession is told the newest nonce.
    if (req.headers['dpop'] !== undefined)
      res.setHeader('dpop-nonce', broker.nonces.current(broker.clock()));
    next();
  });
  serveOAuth(app, control);
  serveRoutes(app, control, ROUTES);
  app.use(() => refuse('unknown_path'));
  app.use(answerError(control));
  return app;
}

/** Every error as a problem document. What is not a refusal is ours: logged here, and nothing of it shown. */
function answerError({ broker, publicUrl }: Control): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    const requestId = String(res.locals['requestId']);
    // Nobody is there to be answered.
    if (error instanceof ClientGone) {
      res.destroy();
      return;
    }
    const refused = refusedBy(error);
    if (refused.refusal.code === 'unexpected')
      broker.log.error({ requestId, method: req.method, err: describe(error) }, 'unexpected error');
    if (res.headersSent) {
      // Half an answer must not look like a whole one.
      res.destroy();
      return;
    }
    const problem = problemOf(refused, requestId);
    const retryAfter = retryAfterSeconds(refused.refusal);
    if (retryAfter !== undefined) res.setHeader('retry-after', String(retryAfter));
    const metadataUrl = `${publicUrl}/.well-known/oauth-protected-resource/api/v1`;
    const challenge = challengeFor(refused.refusal, metadataUrl, req.headers.authorization);
    if (challenge !== undefined) res.setHeader('www-authenticate', challenge);
    res.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  };
}

function refusedBy(error: unknown): RefusedError {
  if (error instanceof RefusedError) return error;
  // The router's, for a path that is not well formed.
  if (error instanceof URIError)
    return new RefusedError(refusal('invalid_request', 'The path is not well formed.'));
  return new RefusedError(refusal('unexpected'));
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : '';
  return `${error.stack}${cause}`;
}
