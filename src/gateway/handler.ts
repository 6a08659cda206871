/** The proxied path: a plain `(req, res)` handler for everything under `/v1`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { denyRequest } from '../broker/admit-request.ts';
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import { challengeFor } from '../oauth/challenge.ts';
import { callerParts, identify, type Caller } from './caller.ts';
import { sendRefusal } from './error-body.ts';
import { forward } from './forward.ts';
import type { Gateway } from './gateway.ts';
import { isRecorded } from './recorded.ts';
import { isModelsPath, listModels } from './list-models.ts';
import { notOffered } from './operations/not-offered.ts';
import { OPERATIONS } from './operations/table.ts';
import { passedQuery } from './query.ts';
import { reportRefusal } from './report.ts';
import { Timing } from './timing.ts';

const UNKNOWN_PATH = `This broker does not offer that path. It offers ${[...OPERATIONS.keys(), '/v1/models'].join(', ')}; an Anthropic base URL has no /v1.`;

export interface GatewayHandler {
  /** Answers a request, whatever happens. */
  handle(this: void, req: IncomingMessage, res: ServerResponse): void;
  /** Resolves when nothing is being handled: what had to go on record has gone there. */
  idle(): Promise<void>;
}

export function createGatewayHandler(gateway: Gateway): GatewayHandler {
  let underWay = 0;
  const whenIdle: (() => void)[] = [];
  const ended = (): void => {
    underWay -= 1;
    if (underWay === 0) for (const resolve of whenIdle.splice(0)) resolve();
  };
  return {
    handle(req, res) {
      const timing = new Timing();
      const requestId = mintId('req', gateway.broker.clock());
      // RFC 9449, section 8.2: who proves possession is told the newest nonce.
      const { nonces, clock } = gateway.broker;
      if (req.headers['dpop'] !== undefined) res.setHeader('dpop-nonce', nonces.current(clock()));
      // A socket that breaks is noticed by 'close'; without a listener its error would end the process.
      res.on('error', ignore);
      underWay += 1;
      void answer(gateway, req, res, { requestId, timing }).finally(ended);
    },
    idle() {
      return underWay === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve));
    },
  };
}

const ignore = (): void => undefined;

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
    const headers = challenge === undefined ? undefined : ['www-authenticate', challenge];
    sendRefusal(res, why, requestId, { headers });
  }
}

/** What is known of a request before its caller is. */
interface Arrival {
  requestId: string;
  timing: Timing;
}

async function answer(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  arrival: Arrival,
): Promise<void> {
  const { requestId } = arrival;
  if (gateway.isClosing())
    return answerError(gateway, req, res, requestId, new RefusedError(refusal('shutting_down')));
  let caller: Caller | undefined;
  try {
    caller = await identify(gateway, req);
    await route(gateway, req, res, arrival, caller);
  } catch (error) {
    // Anybody can cause those of no known caller: they are counted, and recorded together.
    if (!caller && error instanceof RefusedError)
      gateway.broker.unauthenticated.count('gateway', error.refusal.code);
    const why = caller ? await putOnRecord(gateway, req, requestId, caller, error) : error;
    answerError(gateway, req, res, requestId, why);
  }
}

/**
 * What is refused is on record before it is answered.
 *
 * @returns what is to be answered: that it could not be recorded, where that is so
 */
async function putOnRecord(
  { broker }: Gateway,
  req: IncomingMessage,
  requestId: string,
  caller: Caller,
  error: unknown,
): Promise<unknown> {
  const asked = describeRequest(req);
  let why = error;
  if (error instanceof RefusedError && !isRecorded(error)) {
    const parts = callerParts(caller, requestId);
    why = await denyRequest(broker, parts, error.refusal, asked).catch((other: unknown) => other);
  }
  reportRefusal(broker, requestId, caller, asked, why);
  return why;
}

function route(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  arrival: Arrival,
  caller: Caller,
): Promise<void> {
  const { requestId, timing } = arrival;
  const url = req.url ?? '';
  const at = url.indexOf('?');
  const path = at === -1 ? url : url.slice(0, at);
  const query = at === -1 ? '' : url.slice(at + 1);
  if (isModelsPath(path)) {
    mustBe(req, 'GET');
    return listModels(gateway, req, res, { requestId, caller, path, query });
  }
  const operation = OPERATIONS.get(path) ?? refuseOther(path);
  mustBe(req, 'POST');
  const passed = passedQuery(query, operation.query);
  return forward(gateway, req, res, { requestId, timing, caller, operation, query: passed });
}

function refuseOther(path: string): never {
  throw new RefusedError(notOffered(path)?.why ?? refusal('unknown_path', UNKNOWN_PATH));
}

function mustBe(req: IncomingMessage, method: 'GET' | 'POST'): void {
  if (req.method !== method) refuse('method_not_allowed', `This path takes ${method}.`);
}

/** For the log: which door was knocked at. Raw paths can hold anything, so only known ones are named. */
function describeRequest(req: IncomingMessage): { method: string; route: string } {
  const path = (req.url ?? '').split('?', 1)[0] ?? '';
  const known = OPERATIONS.has(path) ? path : notOffered(path)?.route;
  return {
    method: /^[A-Z]{1,10}$/.test(req.method ?? '') ? (req.method as string) : 'other',
    route: isModelsPath(path) ? '/v1/models' : (known ?? 'unknown'),
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
