/** Errors in the one shape that every SDK of both vendors understands. */
import type { ServerResponse } from 'node:http';
import { jsonHeaders, writeHead, type HeaderList } from './answer-head.ts';
import { DENIALS, type Refusal } from '../core/denials.ts';

interface ErrorObject {
  type: string;
  code: string;
  message: string;
  param: string | null;
}

export function errorObject(why: Refusal): ErrorObject {
  return {
    type: DENIALS[why.code].type,
    code: why.code,
    message: why.message,
    param: why.param ?? null,
  };
}

export function errorBody(
  why: Refusal,
  requestId: string,
): { type: 'error'; error: ErrorObject; request_id: string } {
  return { type: 'error', error: errorObject(why), request_id: requestId };
}

/** SDKs ignore a longer Retry-After, or stop retrying. */
const LONGEST_RETRY_AFTER_SECONDS = 60;

interface RefusalOptions {
  headers?: HeaderList | undefined;
  /** Whether an SDK may try again, where that differs from what the code says. */
  retry?: boolean;
}

/** Answers with an error. Whatever could be retried with success says so, and nothing else does. */
export function sendRefusal(
  res: ServerResponse,
  why: Refusal,
  requestId: string,
  { headers = [], retry = DENIALS[why.code].retry }: RefusalOptions = {},
): void {
  const { status } = DENIALS[why.code];
  const body = JSON.stringify(errorBody(why, requestId));
  const all = [
    ...jsonHeaders(Buffer.byteLength(body)),
    'x-should-retry',
    String(retry),
    ...headers,
  ];
  if (retry) all.push('retry-after', String(retryAfterSeconds(why)));
  writeHead(res, requestId, status, all);
  res.end(body);
}

function retryAfterSeconds({ retryAfterMs = 1000 }: Refusal): number {
  return Math.min(LONGEST_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(retryAfterMs / 1000)));
}
