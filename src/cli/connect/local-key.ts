/** The local key: what lets the person's own programs use the port, and nobody else on the machine. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { localRefusal, type LocalRefusal } from './local-refusal.ts';

/** Made for one run, and kept nowhere. */
export class LocalKey {
  readonly text = `slp-local-${randomBytes(32).toString('base64url')}`;
  readonly #digest = digestOf(this.text);

  /** Why a request may not pass; null where it shows the key. SDKs send it as Bearer or as `x-api-key`. */
  refusalFor(req: IncomingMessage): LocalRefusal | null {
    const { authorization = [], 'x-api-key': keys = [] } = req.headersDistinct;
    const sent = [...authorization.map(bearerOf), ...keys.map((key) => key.trim())];
    if (sent.length === 0) return localRefusal('local_key_missing');
    const right = sent.filter((credential) => this.#matches(credential));
    if (right.length === sent.length) return null;
    return localRefusal(right.length === 0 ? 'local_key_wrong' : 'local_key_and_another');
  }

  /** In constant time: digests are of one length, whatever was sent. */
  #matches(credential: string): boolean {
    return timingSafeEqual(digestOf(credential), this.#digest);
  }
}

/** What is not Bearer is no key: it comes back whole, and matches nothing. */
function bearerOf(authorization: string): string {
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? authorization;
}

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();
