/** The host lab vouching for one of its people at the broker of another lab. */
import { randomUUID } from 'node:crypto';
import { refuse } from '../core/denials.ts';
import { signVouching } from '../oauth/lab-vouching.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

export interface IssuedAssertion {
  assertion: string;
  /** Epoch milliseconds, on a whole second. */
  expiresAt: number;
}

/** How often it is recorded anew because another key signs since, before we say "try again". */
const MOST_ATTEMPTS = 3;

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
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const issued = await tryToIssue(broker, actorId, audience);
    if (issued) return issued;
  }
  return refuse('too_busy');
}

async function tryToIssue(
  broker: Broker,
  actorId: string,
  audience: string,
): Promise<IssuedAssertion | undefined> {
  const { store, federation, issuer, signingKeys } = broker;
  const who = by(broker, actorId);
  const issuedAt = Math.floor(who.at / 1000) * 1000;
  const expiresAt = issuedAt + federation.assertionLifetimeMs;
  const jti = randomUUID();
  const { subject, signingKid } = await store.write('recordAssertion', {
    by: who,
    audience,
    audiences: federation.audiences,
    jti,
    expiresAt,
  });
  const key = signingKeys.active;
  // The same commit may have retired it, and what is retired signs nothing. The entry stays: its assertion was never made.
  if (key.kid !== signingKid) return undefined;
  const vouching = { issuer, subject, audience, jti, issuedAt, expiresAt };
  return { assertion: await signVouching(key, vouching), expiresAt };
}
