/** Whether a presented access token is good: signed by us, not expired, known to us, not revoked, its sender's own. */
import { hash } from 'node:crypto';
import { refuse } from '../core/denials.ts';
import { isSameText } from '../lib/same-text.ts';
import { verifyAccessToken, type AccessToken, type VerifiedToken } from '../oauth/access-token.ts';
import type { Credential } from '../oauth/authorization-header.ts';
import type { LiveToken } from '../store/context.ts';
import type { Broker } from './broker.ts';
import { checkPossession, type Possession } from './prove-possession.ts';

/** Verified tokens remembered by hash: checking a signature costs about 200 µs, looking up a hash about 1. */
const MOST_CACHED = 10_000;

export type Audience = keyof Broker['audiences'];

/** A token as it came in a request. */
export interface PresentedToken extends Possession, Credential {}

/**
 * Checks tokens. A signature is checked once; expiry and revocation are looked at each time, in the policy
 * as it is then, so that what is cached can never outlive a revocation.
 */
export class TokenChecker {
  readonly #broker: Broker;
  readonly #verified = new Map<string, VerifiedToken>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /**
   * Checks a token and, where it is bound to a key, the proof that its sender holds that key; the proof is
   * used up when this returns.
   *
   * @throws RefusedError with a code of status 401, or `log_unavailable`
   */
  async check(presented: PresentedToken, audience: Audience): Promise<AccessToken> {
    const { token, scheme } = presented;
    const verified = this.#cached(token, audience) ?? (await this.#verify(token, audience));
    const known = this.#mustBeLive(verified, audience);
    if (known.jkt !== null) {
      await this.#mustBeHeld(presented, known.jkt);
      // It may have been revoked while the proof was recorded.
      this.#mustBeLive(verified, audience);
    } else if (scheme === 'DPoP')
      return refuse('invalid_token', 'This token is not bound to a key. Present it as "Bearer".');
    this.#broker.tokenUse.note(verified.id, this.#broker.clock());
    return verified;
  }

  #cached(token: string, audience: Audience): VerifiedToken | undefined {
    return this.#verified.get(hashOf(token, audience));
  }

  async #verify(token: string, audience: Audience): Promise<VerifiedToken> {
    const { clock, issuer, audiences, signingKeys } = this.#broker;
    const expected = { issuer, audience: audiences[audience] };
    const verified = await verifyAccessToken(signingKeys, expected, token, clock());
    if (this.#verified.size >= MOST_CACHED) {
      const oldest = this.#verified.keys().next();
      if (!oldest.done) this.#verified.delete(oldest.value);
    }
    this.#verified.set(hashOf(token, audience), verified);
    return verified;
  }

  /** Of the policy as it is now, after whatever was waited for. */
  #mustBeLive(verified: VerifiedToken, audience: Audience): LiveToken {
    const { clock, policy, signingKeys } = this.#broker;
    if (verified.expiresAt <= clock()) return refuse('token_expired');
    // A token that we signed but do not know was made with a stolen key, or belongs to a state of the
    // database that is gone.
    const known = policy.token(verified.id);
    if (known?.audience !== audience || known.personId !== verified.personId)
      return refuse('invalid_token');
    // Before its revocation, which a retired key brings with it: somebody else's trouble, for whom a new token
    // will do. And a token can be forged with such a key, under the id of one that another key signed.
    if (!signingKeys.accepted(verified.signingKid)) return refuse('invalid_token');
    if (known.revokedAt !== null) return refuse('token_revoked');
    return known;
  }

  async #mustBeHeld(presented: PresentedToken, jkt: string): Promise<void> {
    if (presented.scheme === 'Bearer')
      return refuse(
        'dpop_required',
        'This token is bound to a key. Present it as "DPoP", with a proof of possession.',
      );
    const proof = await checkPossession(this.#broker, presented, presented.token);
    if (!proof) return refuse('invalid_dpop_proof', 'The DPoP header with the proof is missing.');
    if (!isSameText(proof.jkt, jkt))
      return refuse(
        'invalid_token',
        'The token is bound to another key than the one that made the proof.',
      );
    await this.#broker.store.write('consume', { used: { assertions: [], proof } });
  }
}

function hashOf(token: string, audience: Audience): string {
  return hash('sha256', `${audience} ${token}`, 'base64');
}
