import { refuse } from '../core/denials.ts';
import { authenticateClient, type AuthenticatedClient } from '../oauth/client-assertion.ts';
import type { Broker } from './broker.ts';

/**
 * Finds out who a client is, by its assertion. The assertion is not used up yet: that is for the transaction
 * that acts on it.
 *
 * @throws RefusedError `invalid_client`
 */
export async function authenticate(
  { policy, issuer, clock }: Broker,
  request: { assertion: string; clientId: string | undefined },
): Promise<AuthenticatedClient> {
  const find = (id: string): ReturnType<typeof policy.person> => policy.person(id);
  const client = await authenticateClient(request.assertion, issuer, find, clock());
  return request.clientId === undefined || request.clientId === client.person.id
    ? client
    : refuse('invalid_client');
}
