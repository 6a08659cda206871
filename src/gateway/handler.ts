/** The proxied path: a plain `(req, res)` handler for everything under `/v1`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { denyRequest } from '../broker/admit-request.ts';
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { challengeFor } from '../oauth/challenge.ts';
import { callerParts, identify, type Caller } from './caller.ts';
import { anthropicMessages } from './dialects/anthropic-messages.ts';
import type { Dialect } from './dialects/dialect.ts';
import { openaiChat } from './dialects/openai-chat.ts';
import { sendRefusal } from './error-body.ts';
import { forward } from './forward.ts';
import type { Gateway } from './gateway.ts';
import { isRecorded } from './recorded.ts';
import { listModels } from './list-models.ts';

const DIALECTS = new Map<string, Dialect>(
  [openaiChat, anthropicMessages].map((dialect) => [dialect.path, dialect]),
);

const UNKNOWN_PATH = `This broker does not offer that path. It offers ${[...DIALECTS.keys(), '/v1/models'].join(', ')}; an Anthropic base URL has no /v1.`;

export interface GatewayHandler {
  /** Answers a request, whatever happens. */
  handle(this: void, req: IncomingMessage, res: ServerResponse): void;
  /** Resolves when nothing is being handled: what had to go on record has gone there. */
  idle(): Promise<void>;
}

export function createGatewayHandler(gateway: Gateway): GatewayHandler {
  const underWay = new Set<Promise<void>>();
  return {
    handle(req, res) {
      const requestId = mintId('req', gateway.broker.clock());
      res.setHeader('x-request-id', requestId);
      res.setHeader('request-id', requestId);
      // RFC 9449, section 8.2: who proves possession is told the newest nonce.
      const { nonces, clock } = gateway.broker;
      if (req.headers['dpop'] !== undefined) res.setHeader('dpop-nonce', nonces.current(clock()));
      // A socket that breaks is noticed by 'close'; without a listener its error would end the process.
      res.on('error', () => undefined);
      const handled = handle(gateway, req, res, requestId)
        .catch((error: unknown) => answerError(gateway, req, res, requestId, error))
        .finally(() => underWay.delete(handled));
      underWay.add(handled);
    },
    async idle() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

function answerError(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  error: unknown,
): void {
  if (!(error instanceof RefusedError))
    gateway.broker.log.error({ requestId, err: describe(error) }, 'request failed');
  const why = error instanceof RefusedError ? error.refusal : refusal('unexpected');
  if (res.headersSent) res.destroy();
  else {
    const challenge = challengeFor(why, gateway.resourceMetadataUrl, req.headers.authorization);
    const headers = challenge === undefined ? undefined : { 'www-authenticate': challenge };
    sendRefusal(res, why, requestId, { headers });
  }
}

async function handle(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
): Promise<void> {
  if (gateway.isClosing()) refuse('shutting_down');
  let caller: Caller;
  try {
    caller = await identify(gateway, req);
  } catch (error) {
    // Anybody can cause these: they are counted, and recorded together.
    if (error instanceof RefusedError)
      gateway.broker.unauthenticated.count('gateway', error.refusal.code);
    throw error;
  }
  try {
    await route(gateway, req, res, requestId, caller);
  } catch (error) {
    if (!(error instanceof RefusedError) || isRecorded(error)) throw error;
    await denyRequest(
      gateway.broker,
      callerParts(caller, requestId),
      error.refusal,
      describeRequest(req),
    );
  }
}

function route(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  caller: Caller,
): Promise<void> {
  const [path = '', query = ''] = (req.url ?? '').split('?', 2);
  if (path === '/v1/models' || path.startsWith('/v1/models/')) {
    mustBe(req, 'GET');
    checkQuery(query, path === '/v1/models' ? { limit: '' } : {});
    const only = path === '/v1/models' ? undefined : decodeName(path.slice('/v1/models/'.length));
    return listModels(gateway, req, res, caller, requestId, only);
  }
  const dialect = DIALECTS.get(path) ?? refuse('unknown_path', UNKNOWN_PATH);
  mustBe(req, 'POST');
  const passed = checkQuery(query, dialect.query);
  return forward(gateway, req, res, { requestId, caller, dialect, query: passed });
}

function mustBe(req: IncomingMessage, method: 'GET' | 'POST'): void {
  if (req.method !== method) refuse('method_not_allowed', `This path takes ${method}.`);
}

/** Rebuilds the query from what is allowed. An empty allowed value stands for any number. */
function checkQuery(query: string, allowed: Record<string, string>): string {
  const passed = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) {
    const expected = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
    const fits = expected === '' ? /^\d{1,6}$/.test(value) : expected === value;
    if (expected === undefined || !fits || passed.has(name))
      refuse('invalid_request', 'The query has a parameter that this path does not take.');
    passed.set(name, value);
  }
  return passed.size === 0 ? '' : `?${passed.toString()}`;
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('unknown_path');
  }
}

/** For the log: which door was knocked at. Raw paths can hold anything, so only known ones are named. */
function describeRequest(req: IncomingMessage): Record<string, string> {
  const path = (req.url ?? '').split('?', 1)[0] ?? '';
  const known = DIALECTS.has(path) || path === '/v1/models';
  return {
    method: /^[A-Z]{1,10}$/.test(req.method ?? '') ? (req.method as string) : 'other',
    route: known ? path : 'unknown',
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
