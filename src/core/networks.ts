/** Network addresses and ranges. */
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

export const networkSchema = z
  .string()
  .refine(
    (text) => ipaddr.isValidCIDR(text),
    'must be an address range in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/48',
  )
  .describe('An address range, CIDR');

/**
 * Whether an address lies in one of the ranges. IPv4 in IPv6 clothing (::ffff:192.0.2.1) counts as IPv4.
 * An address that cannot be read lies in none.
 */
export function isInNetworks(address: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}
