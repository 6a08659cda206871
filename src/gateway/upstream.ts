/** Calls to the protected endpoints: kept-alive connections to the configured address and nowhere else. */
import type { UpstreamOfEndpoint } from '../core/endpoints.ts';
import { refusal } from '../core/denials.ts';
import type { Cancellation } from '../lib/cancellation.ts';
import type { Logger } from '../lib/log.ts';
import type { HeaderList } from './answer-head.ts';
import type { CredentialMask } from './credential-mask.ts';
import { Credential } from './credentials.ts';
import { Http1Pool } from './http1-pool.ts';
import { Http2Pool } from './http2-pool.ts';
import { IncomingAnswer, type UpstreamAnswer } from './upstream-answer.ts';
import { UpstreamFailure, codeOf } from './upstream-failure.ts';
import { upstreamTls } from './upstream-tls.ts';
import type { UpstreamTimes } from './wire.ts';

export interface UpstreamCall {
  /** The operation's path, from /v1 on, with the query as allowed. */
  path: string;
  /** Puts the upstream's credential into headers, as the dialect wants it. */
  authorise(this: void, credential: string): HeaderList;
  /** Exactly what was checked and recorded. */
  body: Buffer;
  headers: HeaderList;
  stream: boolean;
  cancellation: Cancellation;
  /** The first byte is about to leave. Until then nothing arrived, and nothing will after a cancellation. */
  sending(this: void): void;
}

export class Upstream {
  readonly #log: Logger;
  readonly #pool: Http1Pool | Http2Pool;
  readonly #basePath: string;
  readonly #credential: Credential | undefined;

  /** @throws with what to do when its credential or certificates cannot be read */
  constructor(settings: UpstreamOfEndpoint, times: UpstreamTimes, log: Logger) {
    const { endpoint, name, upstream, http2, credential } = settings;
    const url = new URL(upstream);
    this.#log = log.child(name === null ? { endpoint } : { endpoint, upstream: name });
    // Written by hand with or without it; the dialects' paths begin with /v1 themselves.
    this.#basePath = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
    const tls = upstreamTls(settings);
    const Connections = http2 ? Http2Pool : Http1Pool;
    this.#pool = new Connections(url, tls, times);
    this.#credential = credential === undefined ? undefined : new Credential(credential, this.#log);
  }

  /**
   * Sends a request, once; resolves with the head of the answer. Redirects are not followed.
   *
   * @throws UpstreamFailure; or the reason of the cancellation
   */
  async send(call: UpstreamCall): Promise<UpstreamAnswer> {
    call.cancellation.throwIfCancelled();
    const answer = await this.#headOf(call);
    if (answer.statusCode === 401) void this.#credential?.look();
    const fault = faultOf(answer);
    if (fault === undefined) return answer;
    answer.destroy();
    throw new UpstreamFailure(refusal('upstream_invalid', fault), true);
  }

  #headOf(call: UpstreamCall): Promise<UpstreamAnswer> {
    const { cancellation, sending } = call;
    return new Promise((resolve, reject) => {
      const parts = { cancellation, sending, failed: this.#failed };
      const answer = new IncomingAnswer(parts, { resolve: () => resolve(answer), reject });
      const path = `${this.#basePath}${call.path}`;
      const headers = this.#headersOf(call);
      this.#pool.dispatch({ path, headers, body: call.body }, answer);
    });
  }

  readonly #failed = ({ refusal: { code }, cause }: UpstreamFailure): void => {
    this.#log.warn({ code, cause: codeOf(cause) }, 'a call to the upstream failed');
  };

  #headersOf({ authorise, headers, stream }: UpstreamCall): HeaderList {
    const accept = stream ? 'text/event-stream' : 'application/json';
    const all = ['content-type', 'application/json', 'accept', accept];
    all.push('accept-encoding', 'identity', 'user-agent', 'sallyport', ...headers);
    if (this.#credential) all.push(...authorise(this.#credential.secret));
    return all;
  }

  /** Whether a text holds this upstream's credential, so that nobody may see it. */
  quotesCredential(text: string, what: { isError: boolean }): boolean {
    return this.#credential?.isQuotedIn(text, what) === true;
  }

  /** What overwrites this upstream's credential in what is kept of an answer; undefined: it has none. */
  mask(what: { isError: boolean }): CredentialMask | undefined {
    return this.#credential?.mask(what);
  }

  async close(): Promise<void> {
    this.#credential?.close();
    await this.#pool.close();
  }
}

/** Why an answer cannot be made use of. Of an error, the status is enough. */
function faultOf(answer: UpstreamAnswer): string | undefined {
  const { statusCode } = answer;
  if (statusCode > 599)
    return `The model endpoint answered with status ${statusCode}, which HTTP does not have.`;
  if (statusCode >= 400 || answer.header('content-encoding').every(isIdentity)) return undefined;
  return 'The model endpoint compressed its answer although it was asked not to.';
}

function isIdentity(codings: string): boolean {
  return /^identity(\s*,\s*identity)*$/i.test(codings);
}
