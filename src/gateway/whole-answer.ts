/** Answers that are one JSON document. */
import type { Dispatcher } from 'undici';
import { refusal, refuse, type ErrorType, type Refusal } from '../core/denials.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import { parseObject } from './dialects/dialect.ts';
import { NO_USAGE, usageFrom, type Exchange } from './exchange.ts';
import type { Upstream } from './upstream.ts';

/** Marks what the upstream said itself, so that nobody takes it for the broker's word. */
const SOURCE_HEADER = 'x-sallyport-source';

/**
 * Reads the whole answer, settles, and only then sends it on.
 *
 * @param streamAsked a document in place of the stream that was asked for is an error: SDKs take it for a
 *   stream without events, which is a silent success
 */
export async function sendWholeAnswer(
  exchange: Exchange,
  answer: Dispatcher.ResponseData,
  { streamAsked, upstream }: { streamAsked: boolean; upstream: Upstream },
): Promise<void> {
  const { dialect, res, headers, requestBytes, signal } = exchange.parts;
  const bytes = await readAll(exchange, answer);
  const body = parseObject(bytes.toString('utf8'));
  const status = answer.statusCode;
  if (status >= 400) return sendUpstreamError(exchange, answer, body, upstream);
  const usage = usageFrom((body && dialect.usageOf(body)) ?? {}, requestBytes, bytes.length);
  if (status !== 200 || !body || streamAsked) {
    const why = refusal(
      'upstream_invalid',
      `The model endpoint answered with status ${status} and no ${streamAsked ? 'stream' : 'JSON object'}.`,
    );
    await exchange.settle({
      end: 'upstream_error',
      why,
      upstreamStatus: status,
      usage,
      forwarded: true,
    });
    throw new AnswerUnusable(why);
  }
  await exchange.settle({
    end: 'completed',
    upstreamStatus: status,
    usage,
    forwarded: true,
    modelAnswered: typeof body['model'] === 'string' ? body['model'] : undefined,
  });
  // An order can have come while the outcome was recorded.
  signal.throwIfAborted();
  res.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    ...headers,
  });
  res.end(bytes);
}

/** The outcome is recorded; what is left is to tell the client. */
export class AnswerUnusable extends Error {
  readonly refusal: Refusal;

  constructor(why: Refusal) {
    super(why.message);
    this.name = 'AnswerUnusable';
    this.refusal = why;
  }
}

const TYPE_OF_STATUS: Record<number, ErrorType> = {
  404: 'not_found_error',
  429: 'rate_limit_error',
};

/**
 * Passes an error of the upstream on in its shape, marked as the upstream's. Its 401 and 403 are about the
 * host's credential, which is not the client's business, and their text may quote it.
 */
async function sendUpstreamError(
  exchange: Exchange,
  answer: Dispatcher.ResponseData,
  body: JsonObject | undefined,
  upstream: Upstream,
): Promise<void> {
  const { res, requestId, signal } = exchange.parts;
  const status = answer.statusCode;
  const ours = status === 401 || status === 403 || status === 407;
  const why = ours ? refusal('upstream_credential_refused') : undefined;
  await exchange.settle({
    end: 'upstream_error',
    why,
    upstreamStatus: status,
    usage: NO_USAGE,
    forwarded: true,
  });
  if (why) throw new AnswerUnusable(why);
  signal.throwIfAborted();
  const passed = body && 'error' in body ? JSON.stringify(body) : undefined;
  const isFit = passed !== undefined && !upstream.quotesCredential(passed);
  const bytes = Buffer.from(isFit ? passed : JSON.stringify(wrapped(status, requestId)), 'utf8');
  const retryAfter = answer.headers['retry-after'];
  res.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    [SOURCE_HEADER]: 'upstream',
    ...(typeof retryAfter === 'string' && /^\d{1,6}$/.test(retryAfter)
      ? { 'retry-after': String(Math.min(60, Number(retryAfter))) }
      : {}),
  });
  res.end(bytes);
}

function wrapped(status: number, requestId: string): JsonObject {
  const type = TYPE_OF_STATUS[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
  const message = `The model endpoint answered with status ${status}.`;
  return {
    type: 'error',
    error: { type, code: 'upstream_error', message, param: null },
    request_id: requestId,
  };
}

async function readAll(exchange: Exchange, answer: Dispatcher.ResponseData): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    exchange.received(chunk);
    length += chunk.length;
    if (length > exchange.parts.maxResponseBytes) {
      answer.body.destroy();
      refuse(
        'upstream_invalid',
        `The model endpoint answered with more than ${exchange.parts.maxResponseBytes} bytes.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
