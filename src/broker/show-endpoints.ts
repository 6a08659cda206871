/** What is shown of the protected endpoints. */
import { refuse } from '../core/denials.ts';
import type { Endpoint } from '../core/endpoints.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

/** What everybody may see who may see the endpoint; how it is reached is the host's business. */
type Described = Pick<
  Endpoint,
  'id' | 'description' | 'dialects' | 'models' | 'safeguardsLifted' | 'features' | 'prices'
>;

export interface ShownEndpoint extends Described {
  /** Only for those who see everything: where the endpoint is, is the host's business. */
  upstream?: string;
  hasCredential?: boolean;
}

/** Endpoints in the order of the configuration. */
export function listEndpoints(broker: Broker, actorId: string): ShownEndpoint[] {
  const { reach } = mayRead(broker, actorId, 'endpoint.read');
  return [...broker.endpoints.values()].map((endpoint) => shown(endpoint, reach === 'all'));
}

/** @throws RefusedError `not_found` */
export function showEndpoint(broker: Broker, actorId: string, endpointId: string): ShownEndpoint {
  const { reach } = mayRead(broker, actorId, 'endpoint.read');
  const endpoint = broker.endpoints.get(endpointId) ?? refuse('not_found');
  return shown(endpoint, reach === 'all');
}

function shown(endpoint: Endpoint, whole: boolean): ShownEndpoint {
  const { id, description, dialects, models, safeguardsLifted, features, prices } = endpoint;
  const described = { id, description, dialects, models, safeguardsLifted, features, prices };
  if (!whole) return described;
  // A URL can carry a password, and some upstreams take their key in the query.
  const { origin, pathname } = new URL(endpoint.upstream);
  return {
    ...described,
    upstream: origin + pathname,
    hasCredential: endpoint.credential !== undefined,
  };
}
