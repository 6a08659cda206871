/** Answers that are one JSON document. */
import type { ErrorType } from '../core/denial.ts';
import { refusal, refuse, type Refusal } from '../core/denials.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import { parseObject } from './operations/operation.ts';
import { jsonHeaders, writeHead } from './answer-head.ts';
import { QUOTES_CREDENTIAL } from './credentials.ts';
import { NO_USAGE, usageFrom, type Exchange } from './exchange.ts';
import { retryHints } from './retry-hints.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamAnswer } from './upstream-answer.ts';

/** Marks what the upstream said itself, so that nobody takes it for the broker's word. */
const FROM_UPSTREAM = ['x-sallyport-source', 'upstream'];

/**
 * Reads the whole answer, settles, and only then sends it on.
 *
 * @param streamAsked a document in place of the stream that was asked for is an error: SDKs take it for a
 *   stream without events, which is a silent success
 */
export async function sendWholeAnswer(
  exchange: Exchange,
  answer: UpstreamAnswer,
  { streamAsked, upstream }: { streamAsked: boolean; upstream: Upstream },
): Promise<void> {
  const { operation, res, requestBytes, cancellation } = exchange.parts;
  const bytes = await readAll(exchange, answer);
  const text = bytes.toString('utf8');
  const body = parseObject(text);
  const status = answer.statusCode;
  // Some servers answer with an error where the status promises none.
  const isError = status >= 400 || Boolean(body?.['error']);
  const isQuoting = upstream.quotesCredential(text, { isError });
  if (status >= 400) {
    const isFit = body && 'error' in body && !isQuoting;
    return sendUpstreamError(exchange, answer, { passed: isFit ? bytes : undefined, isQuoting });
  }
  const reported = body && operation.usageOf(body);
  const usage =
    isError && !reported ? NO_USAGE : usageFrom(reported ?? {}, requestBytes, bytes.length);
  const why = isQuoting ? QUOTES_CREDENTIAL : whyUnusable(status, body, streamAsked);
  if (why) {
    await exchange.settle({
      end: 'upstream_error',
      why,
      upstreamStatus: status,
      usage,
      isQuoting,
      forwarded: true,
    });
    throw new AnswerUnusable(why);
  }
  await exchange.settle({
    end: isError ? 'upstream_error' : 'completed',
    upstreamStatus: status,
    usage,
    forwarded: true,
    modelAnswered: typeof body?.['model'] === 'string' ? body['model'] : undefined,
  });
  // An order can have come while the outcome was recorded.
  cancellation.throwIfCancelled();
  const headers = exchange.addHeaders(jsonHeaders(bytes.length));
  if (isError) headers.push(...FROM_UPSTREAM);
  writeHead(res, exchange.parts.requestId, 200, headers);
  res.end(bytes);
}

function whyUnusable(
  status: number,
  body: JsonObject | undefined,
  streamAsked: boolean,
): Refusal | undefined {
  if (status === 200 && body && !streamAsked) return undefined;
  const what = streamAsked ? 'stream' : 'JSON object';
  const why = `The model endpoint answered with status ${status} and no ${what}.`;
  return refusal('upstream_invalid', why);
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
 *
 * @param passed the answer as it came, where it may be passed on
 */
async function sendUpstreamError(
  exchange: Exchange,
  answer: UpstreamAnswer,
  { passed, isQuoting }: { passed: Buffer | undefined; isQuoting: boolean },
): Promise<void> {
  const { res, requestId, cancellation, timing, broker } = exchange.parts;
  const status = answer.statusCode;
  const ours = status === 401 || status === 403 || status === 407;
  const why = ours ? refusal('upstream_credential_refused') : undefined;
  await exchange.settle({
    end: 'upstream_error',
    why,
    upstreamStatus: status,
    usage: NO_USAGE,
    isQuoting,
    forwarded: true,
  });
  if (why) throw new AnswerUnusable(why);
  cancellation.throwIfCancelled();
  const bytes = passed ?? Buffer.from(JSON.stringify(wrapped(status, requestId)), 'utf8');
  writeHead(res, requestId, status, [
    ...jsonHeaders(bytes.length),
    ...FROM_UPSTREAM,
    'server-timing',
    timing.header(),
    ...retryHints(answer, broker.clock()),
  ]);
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

async function readAll(exchange: Exchange, answer: UpstreamAnswer): Promise<Buffer> {
  const { maxResponseBytes } = exchange.parts;
  const chunks: Buffer[] = [];
  let length = 0;
  await answer.read((chunk) => {
    const room = exchange.received(chunk);
    length += chunk.length;
    if (length <= maxResponseBytes) chunks.push(chunk);
    // Of an error, the status is enough.
    else if (answer.statusCode >= 400) answer.finish(0);
    else
      refuse(
        'upstream_invalid',
        `The model endpoint answered with more than ${maxResponseBytes} bytes.`,
      );
    return room;
  });
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}
