import { RefusedError } from '../core/denials.ts';
import { verifyAccessToken, type AccessToken } from '../oauth/access-token.ts';
import type { Broker } from './broker.ts';

/** What a token of ours says, for either audience; undefined for anything else, or once it has expired. */
export async function readOurToken(broker: Broker, jwt: string): Promise<AccessToken | undefined> {
  const { issuer, signingKeys, audiences, clock } = broker;
  for (const audience of [audiences.gateway, audiences.control]) {
    try {
      return await verifyAccessToken(signingKeys, { issuer, audience }, jwt, clock());
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }
  return undefined;
}
