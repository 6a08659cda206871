/** Calls to the protected endpoints: one kept-alive pool each, to the configured address and nowhere else. */
import { Pool, errors, type Dispatcher } from 'undici';
import type { Endpoint } from '../core/endpoints.ts';
import { refusal, type Refusal } from '../core/denials.ts';
import type { Dialect } from './dialects/dialect.ts';
import { readCredential } from './credentials.ts';

export interface UpstreamTimes {
  connectMs: number;
  /** Until the first byte of the answer. */
  firstByteMs: number;
  /** Between two reads of the answer. */
  idleMs: number;
}

export interface UpstreamCall {
  dialect: Dialect;
  /** Exactly what was checked and recorded. */
  body: Buffer;
  headers: Record<string, string>;
  /** Query as allowed, with its question mark, or ''. */
  query: string;
  stream: boolean;
  signal: AbortSignal;
}

/** Why a call failed, and whether any of it can have reached the upstream. */
export class UpstreamFailure extends Error {
  readonly refusal: Refusal;
  readonly mayHaveArrived: boolean;

  constructor(why: Refusal, mayHaveArrived: boolean, cause: unknown) {
    super(why.message, { cause });
    this.name = 'UpstreamFailure';
    this.refusal = why;
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** Failures before a byte could leave. */
const NEVER_CONNECTED = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

export class Upstream {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #credential: string | undefined;

  /** @throws when the endpoint's credential cannot be read */
  constructor(endpoint: Endpoint, times: UpstreamTimes) {
    const url = new URL(endpoint.upstream);
    // Written by hand with or without it; the dialects' paths begin with /v1 themselves.
    this.#basePath = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
    this.#credential =
      endpoint.credential === undefined ? undefined : readCredential(endpoint.credential);
    this.#pool = new Pool(url.origin, {
      connections: null,
      pipelining: 1,
      connect: { timeout: times.connectMs },
      headersTimeout: times.firstByteMs,
      bodyTimeout: times.idleMs,
    });
  }

  /**
   * Sends a request, once. Redirects are not followed.
   *
   * @throws UpstreamFailure; or the signal's reason
   */
  async call(call: UpstreamCall): Promise<Dispatcher.ResponseData> {
    const { dialect, signal } = call;
    try {
      return await this.#pool.request({
        method: 'POST',
        path: `${this.#basePath}${dialect.path}${call.query}`,
        headers: {
          'content-type': 'application/json',
          accept: call.stream ? 'text/event-stream' : 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'sallyport',
          ...call.headers,
          ...(this.#credential === undefined ? {} : dialect.authorise(this.#credential)),
        },
        body: call.body,
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw failureOf(error);
    }
  }

  /** Whether a text holds this endpoint's credential, so that nobody may see it. Escapes must be resolved. */
  quotesCredential(text: string): boolean {
    return this.#credential !== undefined && text.includes(this.#credential);
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** What a failure of the connection means for the client. */
export function failureOf(error: unknown): UpstreamFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (NEVER_CONNECTED.has(code))
    return new UpstreamFailure(refusal('upstream_unreachable'), false, error);
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return new UpstreamFailure(refusal('upstream_timeout'), true, error);
  }
  return new UpstreamFailure(refusal('upstream_incomplete'), true, error);
}
