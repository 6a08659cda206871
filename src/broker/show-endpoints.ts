/** What is shown of the protected endpoints. */
import { refuse } from '../core/denials.ts';
import type { Endpoint } from '../core/endpoints.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';

export interface ShownEndpoint extends Omit<Endpoint, 'upstream' | 'credential'> {
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

function shown({ upstream, credential, ...rest }: Endpoint, whole: boolean): ShownEndpoint {
  if (!whole) return rest;
  // A URL can carry a password, and some upstreams take their key in the query.
  const { origin, pathname } = new URL(upstream);
  return { ...rest, upstream: origin + pathname, hasCredential: credential !== undefined };
}
