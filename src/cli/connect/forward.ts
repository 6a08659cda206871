/** Passes one request on to the broker with a bound token, and its answer back as it comes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher, Pool } from 'undici';
import { RefusedByBroker } from '../problems.ts';
import type { DpopProofs } from './dpop.ts';
import { headersBack, headersOnward, single } from './headers.ts';
import { limitRefusalOf, mayBeLimitRefusal } from './limit-refusal.ts';
import type { Turn } from './line.ts';
import { LocalRefusedError, localRefusal, refusalWithoutToken } from './local-refusal.ts';
import { rateLimitsOf, type RateLimits } from './rate-limits.ts';
import { Tail, refusalIn, type PassedRefusal } from './tail.ts';
import type { HeldToken, TokenKeeper } from './token-keeper.ts';

export interface Onward {
  /** Base URL, without a slash at its end. */
  brokerUrl: string;
  pool: Pool;
  keeper: TokenKeeper;
  proofs: DpopProofs;
  /** The broker refused a request that was passed on. */
  onRefusal: (refusal: PassedRefusal) => void;
  onLimits: (limits: RateLimits) => void;
  /** The broker has ended with a request, by the id that it gave it. */
  onEnded: (requestId: string) => void;
}

/** A refusal of the token is never longer. */
const MOST_REFUSAL_BYTES = 64 * 1024;

interface Answer {
  head: Dispatcher.ResponseData;
  /** Its body, where that was read already. */
  read: Buffer | undefined;
}

/**
 * Passes a request on.
 *
 * @param path path and query, as they came
 * @param turn undefined for what no limit is for
 * @param signal aborts the request to the broker: the client has gone
 * @throws LocalRefusedError as long as nothing was answered
 */
export async function forward(
  onward: Onward,
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
  body: Buffer,
  turn: Turn | undefined,
  signal: AbortSignal,
): Promise<void> {
  const answer = await askBroker(onward, req, path, body, turn, signal);
  try {
    await passBack(onward, res, answer, turn);
  } finally {
    ended(onward, answer.head);
  }
}

async function passBack(
  onward: Onward,
  res: ServerResponse,
  { head, read }: Answer,
  turn: Turn | undefined,
): Promise<void> {
  turn?.admitted();
  const { statusCode: status, headers } = head;
  const limits = rateLimitsOf(headers);
  if (limits) onward.onLimits(limits);
  res.writeHead(status, headersBack(headers));
  if (read) {
    const refusal = refusalIn(read.toString('utf8'));
    if (refusal) onward.onRefusal(refusal);
    res.end(read);
    return;
  }
  res.flushHeaders();
  const mayRefuse =
    status >= 400 || String(headers['content-type']).startsWith('text/event-stream');
  const tail = mayRefuse ? new Tail() : undefined;
  try {
    await pipeline(watched(head.body, tail, res), res);
  } finally {
    const refusal = tail?.refusal();
    if (refusal) onward.onRefusal(refusal);
  }
}

const REQUEST_ID = /^req_[0-9a-z]{26}$/;

/** Those without a good token have no entry of their own. */
function ended({ onEnded }: Onward, { statusCode, headers }: Dispatcher.ResponseData): void {
  const requestId = single(headers, 'x-request-id') ?? '';
  if (statusCode !== 401 && REQUEST_ID.test(requestId)) onEnded(requestId);
}

async function* watched(
  body: AsyncIterable<Buffer>,
  tail: Tail | undefined,
  res: ServerResponse,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) {
      tail?.see(chunk);
      yield chunk;
    }
  } catch (error) {
    breakOff(res);
    throw error;
  }
}

/**
 * Ends an answer that is not whole. To a client of HTTP/1.0 it has no end but that of the connection, so that
 * must not be a clean one.
 */
export function breakOff(res: ServerResponse): void {
  res.socket?.resetAndDestroy();
  // Where others in a pipeline come before it, it has no connection yet.
  res.destroy();
}

/** Refusals of a token that another one may not get. The last is what tokens of a key that was retired get. */
const OTHER_TOKEN = new Set<string | undefined>([
  'token_expired',
  'token_revoked',
  'invalid_token',
]);

/**
 * Asks, and once more each where the broker wants another nonce or another token, and again after each wait for a
 * limit: it has passed nothing on then.
 */
async function askBroker(
  onward: Onward,
  req: IncomingMessage,
  path: string,
  body: Buffer,
  turn: Turn | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const { keeper, proofs } = onward;
  let token = await tokenFrom(() => keeper.current());
  let tried = { nonce: false, token: false };
  for (;;) {
    signal.throwIfAborted();
    const head = await send(onward, req, path, body, token, signal);
    proofs.heard('gateway', single(head.headers, 'dpop-nonce'));
    const mayWait = turn !== undefined && mayBeLimitRefusal(head);
    if (head.statusCode !== 401 && !mayWait) return { head, read: undefined };
    const read = await readRefusal(head);
    const refusal = refusalIn(read.toString('utf8'));
    if (mayWait) {
      const limit = limitRefusalOf(head, refusal);
      const isItsTurn = limit && (await turn.refused(limit));
      if (!isItsTurn) return { head, read };
      ended(onward, head);
      // Both may have run out meanwhile.
      token = await tokenFrom(() => keeper.current());
      tried = { nonce: false, token: false };
      continue;
    }
    const refused = token;
    if (refusal && keeper.held === refused && endsRun(refusal, tried.token)) {
      keeper.end(new RefusedByBroker(refusal.code, refusal.message, refusal.message));
      return { head, read };
    }
    if (!tried.nonce && wantsNonce(head)) tried.nonce = true;
    else if (!tried.token && OTHER_TOKEN.has(refusal?.code)) {
      tried.token = true;
      token = await tokenFrom(() => keeper.replace(refused));
    } else return { head, read };
  }
}

/** Whether it is of no use to ask for another token: the one in hand was ended on purpose, or is new. */
function endsRun({ code }: PassedRefusal, isNew: boolean): boolean {
  return code === 'token_revoked' || (code === 'invalid_token' && isNew);
}

async function tokenFrom(get: () => Promise<HeldToken>): Promise<HeldToken> {
  try {
    return await get();
  } catch (error) {
    throw new LocalRefusedError(refusalWithoutToken(error), error);
  }
}

async function send(
  { brokerUrl, pool, proofs }: Onward,
  req: IncomingMessage,
  path: string,
  body: Buffer,
  token: HeldToken,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const method = req.method as Dispatcher.HttpMethod;
  const url = `${brokerUrl}${path}`;
  const proof = await proofs.prove('gateway', method, path, token.text);
  try {
    return await pool.request({
      method,
      path: url.slice(new URL(url).origin.length),
      headers: {
        ...headersOnward(req.headers),
        authorization: `DPoP ${token.text}`,
        dpop: proof,
      },
      body: body.length === 0 ? null : body,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new LocalRefusedError(localRefusal(whyNot(error)), error);
  }
}

/** RFC 9449, section 9. */
function wantsNonce({ headers }: Dispatcher.ResponseData): boolean {
  return [headers['www-authenticate'] ?? []]
    .flat()
    .some((challenge) => /\bDPoP\b.*\berror="use_dpop_nonce"/i.test(challenge));
}

async function readRefusal({ body }: Dispatcher.ResponseData): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MOST_REFUSAL_BYTES) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new LocalRefusedError(localRefusal('broker_gone'), error);
  }
  if (length > MOST_REFUSAL_BYTES) throw new LocalRefusedError(localRefusal('broker_unexpected'));
  return Buffer.concat(chunks, length);
}

/** Failures before a byte could leave. */
const NEVER_SENT = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

function whyNot(error: unknown): 'broker_unreachable' | 'broker_gone' {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return NEVER_SENT.has(code) || /CERT|SIGNATURE/.test(code) ? 'broker_unreachable' : 'broker_gone';
}
