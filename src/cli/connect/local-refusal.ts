/** What the local port itself answers when it does not pass a request on: in the shape that SDKs know. */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { ErrorType } from '../../core/denial.ts';
import { DENIALS, type DenialCode } from '../../core/denials.ts';
import { EXIT } from '../exit-codes.ts';
import { CliError, RefusedByBroker } from '../problems.ts';

export interface LocalRefusal {
  /** HTTP status. */
  status: number;
  type: ErrorType;
  code: string;
  /** A sentence that says what to do. */
  message: string;
  /** Whether an SDK may try the same request again. */
  retry: boolean;
}

/** A refusal on its way up to where it is answered. */
export class LocalRefusedError extends Error {
  override readonly name = 'LocalRefusedError';
  readonly refusal: LocalRefusal;

  constructor(refusal: LocalRefusal, cause?: unknown) {
    super(refusal.message, { cause });
    this.refusal = refusal;
  }
}

/** Reasons that only the local port has. All others are the broker's. */
const LOCAL = {
  local_key_missing: [
    401,
    'authentication_error',
    false,
    'This port takes the local key that "sallyport connect" printed, as Bearer or x-api-key. Set the variables that it printed.',
  ],
  local_key_wrong: [
    401,
    'authentication_error',
    false,
    'This is not the local key of this run of "sallyport connect". Each run has its own: set the variables that it printed.',
  ],
  local_key_and_another: [
    401,
    'authentication_error',
    false,
    'Another credential was sent beside the local key. Unset ANTHROPIC_AUTH_TOKEN, or whatever else sets one.',
  ],
  local_host_wrong: [
    403,
    'permission_error',
    false,
    'This port answers to 127.0.0.1 and localhost only. Use the base URL that "sallyport connect" printed.',
  ],
  local_stopping: [503, 'api_error', false, '"sallyport connect" is stopping. Start it again.'],
  broker_unreachable: [
    503,
    'api_error',
    true,
    'The broker cannot be reached from this machine; nothing was sent. Check your network.',
  ],
  broker_gone: [
    502,
    'api_error',
    false,
    'The connection to the broker broke before it answered. The request may have been carried out.',
  ],
  broker_unexpected: [
    502,
    'api_error',
    false,
    'The broker answered with something that cannot be used. Tell the host lab.',
  ],
} as const satisfies Record<string, readonly [number, ErrorType, boolean, string]>;

/** Makes a refusal that only the local port gives. */
export function localRefusal(code: keyof typeof LOCAL, message?: string): LocalRefusal {
  const [status, type, retry, text] = LOCAL[code];
  return { status, type, code, message: message ?? text, retry };
}

/** Makes a refusal for a reason that the gateway has, too. */
export function refusalAsGateway(code: DenialCode, message?: string): LocalRefusal {
  const { status, type, retry, text } = DENIALS[code];
  return { status, type, code, message: message ?? text, retry };
}

/** What a local request is told where there is no token for it. */
export function refusalWithoutToken(error: unknown): LocalRefusal {
  if (error instanceof LocalRefusedError) return error.refusal;
  if (error instanceof RefusedByBroker) {
    const { code, detail } = error;
    if (Object.hasOwn(DENIALS, code)) return refusalAsGateway(code as DenialCode, detail);
    return { status: 403, type: 'permission_error', code, message: detail, retry: false };
  }
  if (error instanceof CliError && error.exitCode === EXIT.unreachable)
    return localRefusal('broker_unreachable', error.message);
  const message = error instanceof CliError ? error.message : undefined;
  return localRefusal('broker_unexpected', message);
}

/** Answers with a refusal. */
export function sendLocalRefusal(
  res: ServerResponse,
  refusal: LocalRefusal,
  headers: Record<string, string> = {},
): void {
  const { status, type, code, message, retry } = refusal;
  const requestId = `local_${randomUUID()}`;
  const body = JSON.stringify({
    type: 'error',
    error: { type, code, message, param: null },
    request_id: requestId,
  });
  res.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-request-id': requestId,
    'request-id': requestId,
    'x-should-retry': String(retry),
    ...(retry ? { 'retry-after': '3' } : {}),
    ...headers,
  });
  res.end(body);
}
