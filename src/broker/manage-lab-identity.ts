/** The identities that partner labs sign for their people with. */
import type { IdentityInput } from '../core/lab-identity.ts';
import type { Lab } from '../core/people.ts';
import { readKeySet } from '../oauth/key-set.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

/**
 * Registers the identity of a lab: from then on, what it signs (RFC 7523) is believed of its people. Tokens
 * that it vouched for under another identity end before this returns.
 *
 * @throws RefusedError
 */
export async function setLabIdentity(
  broker: Broker,
  actorId: string,
  labId: string,
  { issuer, jwks, jwksUrl }: IdentityInput,
): Promise<Lab> {
  const usable = jwks && (await readKeySet(jwks));
  return broker.store.write('setLabIdentity', {
    by: by(broker, actorId),
    labId,
    // Each under the name that it goes by here, so that what is shown and recorded tells them apart.
    identity: { issuer, jwksUrl, jwks: usable && { keys: usable.map(named) } },
    unusableKeys: (jwks?.keys.length ?? 0) - (usable?.length ?? 0),
    rules: {
      issuer: broker.issuer,
      allowInsecureLoopback: broker.federation.allowInsecureLoopback,
    },
  });
}

/** Takes a lab's identity away. Tokens that it vouched for end before this returns. @throws RefusedError */
export function removeLabIdentity(broker: Broker, actorId: string, labId: string): Promise<Lab> {
  return broker.store.write('removeLabIdentity', { by: by(broker, actorId), labId });
}

const named = <K extends object>({ kid, jwk }: { kid: string; jwk: K }): K & { kid: string } => ({
  ...jwk,
  kid,
});
