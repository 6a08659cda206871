/** The gateway's parts, handed to its handler. */
import type { TokenChecker } from '../broker/authenticate-token.ts';
import type { Broker } from '../broker/broker.ts';
import type { IncomingMessage } from 'node:http';
import type { BodyBounds } from './read-body.ts';
import type { Upstream } from './upstream.ts';

interface GatewaySettings {
  body: BodyBounds;
  maxResponseBytes: number;
  /** A comment goes out when a stream was silent for so long; 0 for none. */
  keepAliveMs: number;
  /** Longest life of a request, milliseconds. */
  requestMs: number;
}

export interface Gateway {
  broker: Broker;
  tokens: TokenChecker;
  /** By upstreamKey. */
  upstreams: ReadonlyMap<string, Upstream>;
  settings: GatewaySettings;
  /** Where the metadata of this resource is (RFC 9728), for 401 answers. */
  resourceMetadataUrl: string;
  /** Address of the client, seen through trusted proxies. */
  addressOf(req: IncomingMessage): string;
  /** Set while the broker shuts down: nothing new is taken. */
  isClosing(): boolean;
}
