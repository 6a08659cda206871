/** Whether a presented access token is good: signed by us, not expired, known to us and not revoked. */
import { createHash } from 'node:crypto';
import { refuse } from '../core/denials.ts';
import { verifyAccessToken, type AccessToken } from '../oauth/access-token.ts';
import type { Broker } from './broker.ts';

/** Verified tokens remembered by hash: checking a signature costs about 200 µs, looking up a hash about 5. */
const MOST_CACHED = 10_000;

export type Audience = keyof Broker['audiences'];

/**
 * Checks tokens. A signature is checked once; expiry and revocation are looked at each time, in the policy
 * as it is then, so that what is cached can never outlive a revocation.
 */
export class TokenChecker {
  readonly #broker: Broker;
  readonly #verified = new Map<string, AccessToken>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** @throws RefusedError `invalid_token`, `token_expired` or `token_revoked` */
  async check(token: string, audience: Audience): Promise<AccessToken> {
    const { clock, policy, issuer, audiences, signingKey } = this.#broker;
    const hash = createHash('sha256').update(audience).update(' ').update(token).digest('base64');
    let verified = this.#verified.get(hash);
    if (!verified) {
      verified = await verifyAccessToken(
        signingKey,
        { issuer, audience: audiences[audience] },
        token,
        clock(),
      );
      this.#remember(hash, verified);
    }
    if (verified.expiresAt <= clock()) {
      this.#verified.delete(hash);
      return refuse('token_expired');
    }
    // A token that we signed but do not know was made with a stolen key, or belongs to a state of the
    // database that is gone.
    const known = policy.token(verified.id);
    if (known?.audience !== audience || known.personId !== verified.personId)
      return refuse('invalid_token');
    if (known.revokedAt !== null) return refuse('token_revoked');
    return verified;
  }

  #remember(hash: string, token: AccessToken): void {
    if (this.#verified.size >= MOST_CACHED) {
      const oldest = this.#verified.keys().next();
      if (!oldest.done) this.#verified.delete(oldest.value);
    }
    this.#verified.set(hash, token);
  }
}
