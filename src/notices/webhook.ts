/** Webhooks as Standard Webhooks 1.0.0 has them (github.com/standard-webhooks/standard-webhooks). */
import { createHmac } from 'node:crypto';
import { Agent, request, type Dispatcher } from 'undici';
import type { Attempt } from '../core/deliveries.ts';
import type { WebhookChannel } from '../core/notice-channels.ts';
import { readSigningKeys } from './secrets.ts';
import type { OutgoingNotice, Sender } from './sender.ts';

export class Webhook implements Sender {
  readonly #url: string;
  readonly #secret: string;
  readonly #agent = new Agent({ pipelining: 1 });

  /** @throws with what to do, never with the secret */
  constructor({ url, secret }: WebhookChannel) {
    readSigningKeys(secret);
    this.#url = url;
    this.#secret = secret;
  }

  async deliver(outgoing: OutgoingNotice, signal: AbortSignal): Promise<Attempt> {
    let headers: Record<string, string>;
    const body = payloadOf(outgoing);
    try {
      headers = signedHeaders(outgoing, body, readSigningKeys(this.#secret));
    } catch {
      return { delivered: false, failure: 'secret_unusable' };
    }
    try {
      // undici follows no redirect of itself: the address is the configured one, and no other.
      const answer = await request(this.#url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { ...headers, 'content-type': 'application/json', 'user-agent': 'sallyport' },
        body,
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

/** The bytes that are signed and sent: the same at each attempt. */
function payloadOf({ notice, broker }: OutgoingNotice): string {
  const { id, at, kind, ref, labId, personId, title, data } = notice;
  return JSON.stringify({
    type: kind,
    timestamp: new Date(at).toISOString(),
    data: { notice: id, broker, ref, lab: labId, person: personId, title, details: data },
  });
}

function signedHeaders(
  { notice, at }: OutgoingNotice,
  body: string,
  keys: readonly Buffer[],
): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const content = `${notice.id}.${timestamp}.${body}`;
  const sign = (key: Buffer): string =>
    `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
  return {
    'webhook-id': notice.id,
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
