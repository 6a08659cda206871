/** How an upstream is verified, and how we identify ourselves to it. Read once, at the start. */
import type { SecureContext } from 'node:tls';
import type { UpstreamOfEndpoint } from '../core/endpoints.ts';
import { openTls } from '../lib/tls-files.ts';

/**
 * @returns undefined for an upstream without TLS
 * @throws with what to do
 */
export const upstreamTls = ({
  upstream,
  tls = {},
}: Pick<UpstreamOfEndpoint, 'upstream' | 'tls'>): SecureContext | undefined =>
  upstream.startsWith('https:') ? openTls(tls) : undefined;
