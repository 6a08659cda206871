import type { IncomingMessage } from 'node:http';
import { isInNetworks } from '../core/networks.ts';

/**
 * The address that a request came from. Where trusted proxies stand in front, the last address in
 * X-Forwarded-For that is not one of theirs: everything further left is the client's own claim.
 */
export function clientAddress(
  req: IncomingMessage,
  trustedNetworks: readonly string[] | undefined,
): string {
  const peer = req.socket.remoteAddress ?? '';
  if (!trustedNetworks || !isInNetworks(peer, trustedNetworks)) return peer;
  const header = req.headers['x-forwarded-for'];
  const hops = String(header ?? '')
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => hop !== '');
  return hops.findLast((hop) => !isInNetworks(hop, trustedNetworks)) ?? hops[0] ?? peer;
}
