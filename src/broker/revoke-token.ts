/** Ending and listing tokens. */
import { RefusedError } from '../core/denials.ts';
import { verifyAccessToken, type AccessToken } from '../oauth/access-token.ts';
import type { PageRequest, TokenRow } from '../store/readers.ts';
import { authenticate } from './authenticate-client.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { mayRead, within } from './reach.ts';

/** Ends a token by its id. When it returns, no request passes with it and its live streams are cut. */
export async function revokeToken(
  broker: Broker,
  actorId: string,
  tokenId: string,
): Promise<{ revokedAt: number }> {
  return broker.store.write('revokeToken', { by: by(broker, actorId), tokenId });
}

/**
 * Revocation by RFC 7009: the client proves who it is and presents the token itself. A token that is not
 * the client's own, or not one at all, is answered like one that has ended: nothing can be probed.
 *
 * @throws RefusedError `invalid_client`
 */
export async function revokePresentedToken(
  broker: Broker,
  request: { assertion: string; clientId: string | undefined; token: string },
): Promise<void> {
  const client = await authenticate(broker, request);
  await broker.store.write('consumeAssertion', { assertion: client.assertion });
  const token = await readOwnToken(broker, request.token);
  if (token?.personId !== client.person.id || !broker.policy.token(token.id)) return;
  await revokeToken(broker, client.person.id, token.id);
}

async function readOwnToken(broker: Broker, jwt: string): Promise<AccessToken | undefined> {
  for (const audience of [broker.audiences.gateway, broker.audiences.control]) {
    try {
      return await verifyAccessToken(
        broker.signingKey,
        { issuer: broker.issuer, audience },
        jwt,
        broker.clock(),
      );
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }
  return undefined;
}

/** Tokens within the reader's reach, newest first. */
export function listTokens(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: {
    grantId?: string | undefined;
    personId?: string | undefined;
    live?: boolean | undefined;
  },
): TokenRow[] {
  const { bounds } = mayRead(broker, actorId, 'token.read');
  const { grantId, personId, live } = filter;
  const bounded = within(bounds, { grantId, personId });
  if (!bounded) return [];
  return broker.readers.listTokens(page, {
    ...bounded,
    liveAt: live ? broker.clock() : undefined,
  });
}
