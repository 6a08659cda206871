/** Ending tokens. */
import type { Credentials } from '../oauth/token-request.ts';
import { authenticate } from './authenticate-client.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { readOurToken } from './read-our-token.ts';

/** Ends a token by its id. When it returns, no request passes with it and its live streams are cut. */
export async function revokeToken(
  broker: Broker,
  actorId: string,
  tokenId: string,
): Promise<{ revokedAt: number; cut: number }> {
  const who = by(broker, actorId);
  const { revokedAt } = await broker.store.write('revokeToken', { by: who, tokenId });
  // One that had ended before has cut what it could then.
  const cut = revokedAt === who.at ? broker.live.cutsWith([tokenId]).length : 0;
  return { revokedAt, cut };
}

/**
 * Revocation by RFC 7009: the client proves who it is and presents the token itself. A token that is not
 * the client's own, or not one at all, is answered like one that has ended: nothing can be probed.
 *
 * @throws RefusedError `invalid_client`
 */
export async function revokePresentedToken(
  broker: Broker,
  request: Credentials & { token: string },
): Promise<void> {
  const claimant = await authenticate(broker, request);
  const { assertions } = claimant;
  await broker.store.write('consume', { used: { assertions, proof: undefined } });
  const token = await readOurToken(broker, request.token);
  if (token?.personId !== claimant.person.id || !broker.policy.token(token.id)) return;
  await revokeToken(broker, claimant.person.id, token.id);
}
