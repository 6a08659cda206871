/** Signed posts as Standard Webhooks 1.0.0 has them (github.com/standard-webhooks/standard-webhooks). */
import { createHmac } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { Agent, request, type Dispatcher } from 'undici';
import type { Attempt } from '../core/deliveries.ts';
import { readSigningKeys } from './secrets.ts';

/** Who receives them. */
export interface PostReceiver {
  url: string;
  /** Reference to the secret: `env:NAME` or `file:PATH`. */
  secret: string;
  /** How it is verified; default: by the authorities that Node knows. */
  tls?: SecureContext | undefined;
}

/** One message. */
export interface Post {
  /** The same at each attempt, so that a receiver knows what it has. */
  id: string;
  /** When this attempt is made; epoch milliseconds. */
  at: number;
  /** Media type of the body. */
  type: string;
  /** The bytes that are signed and sent: the same at each attempt. */
  body: string | Buffer;
}

export class SignedPosts {
  readonly #url: string;
  readonly #secret: string;
  readonly #agent: Agent;

  /** @throws with what to do, never with the secret */
  constructor({ url, secret, tls }: PostReceiver) {
    readSigningKeys(secret);
    this.#url = url;
    this.#secret = secret;
    this.#agent = new Agent({
      pipelining: 1,
      // Said, so that no variable of the environment turns it off.
      connect: { rejectUnauthorized: true, ...(tls && { secureContext: tls }) },
    });
  }

  /** Makes one attempt. Whatever the other side does is an answer; `signal` ends it at once. */
  async send(post: Post, signal: AbortSignal): Promise<Attempt> {
    let headers: Record<string, string>;
    try {
      headers = signedHeaders(post, readSigningKeys(this.#secret));
    } catch {
      return { delivered: false, failure: 'secret_unusable' };
    }
    try {
      // undici follows no redirect of itself: the address is the configured one, and no other.
      const answer = await request(this.#url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { ...headers, 'content-type': post.type, 'user-agent': 'sallyport' },
        body: post.body,
        // Few and far between: no connection is kept for them.
        reset: true,
        signal,
      });
      // Nobody reads what a receiver has to say beyond its status.
      answer.body.on('error', () => undefined).destroy();
      return attemptOf(answer.statusCode, answer.headers);
    } catch {
      return { delivered: false, failure: 'unreachable' };
    }
  }

  close(): void {
    void this.#agent.destroy();
  }
}

function signedHeaders({ id, at, body }: Post, keys: readonly Buffer[]): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const sign = (key: Buffer): string => {
    const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
    return `v1,${mac.digest('base64')}`;
  };
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': keys.map(sign).join(' '),
  };
}

function attemptOf(status: number, headers: Dispatcher.ResponseData['headers']): Attempt {
  if (status >= 200 && status < 300) return { delivered: true };
  if (status === 410) return { delivered: false, failure: 'gone', status, isFinal: true };
  const { 'retry-after': after } = headers;
  const retryAfterMs =
    typeof after === 'string' && /^\d{1,9}$/.test(after) ? Number(after) * 1000 : undefined;
  return { delivered: false, failure: 'refused', status, retryAfterMs };
}
