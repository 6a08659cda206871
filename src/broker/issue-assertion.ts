/** The host lab vouching for one of its people at the broker of another lab. */
import { randomUUID } from 'node:crypto';
import { signVouching } from '../oauth/lab-vouching.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

export interface IssuedAssertion {
  assertion: string;
  /** Epoch milliseconds, on a whole second. */
  expiresAt: number;
}

/**
 * Records and signs an assertion for the caller, good once at the broker whose issuer is `audience`.
 *
 * @throws RefusedError
 */
export async function issueAssertion(
  broker: Broker,
  actorId: string,
  audience: string,
): Promise<IssuedAssertion> {
  const { store, federation, issuer } = broker;
  const who = by(broker, actorId);
  const key = broker.signingKeys.active;
  const issuedAt = Math.floor(who.at / 1000) * 1000;
  const expiresAt = issuedAt + federation.assertionLifetimeMs;
  const jti = randomUUID();
  const { subject } = await store.write('recordAssertion', {
    by: who,
    audience,
    audiences: federation.audiences,
    jti,
    expiresAt,
    signingKid: key.kid,
  });
  const vouching = { issuer, subject, audience, jti, issuedAt, expiresAt };
  return { assertion: await signVouching(key, vouching), expiresAt };
}
