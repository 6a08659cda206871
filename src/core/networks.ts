/** Network addresses and ranges. */
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

export const networkSchema = z
  .string()
  .refine(
    isPlainRange,
    'must be an address range in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/48',
  )
  .describe('An address range, CIDR');

/**
 * IPv4 in four decimal parts only: elsewhere "10/8" is 0.0.0.10/8 and "010.0.0.0/8" is 8.0.0.0/8, which
 * nobody who writes it means. IPv4 in IPv6 clothing is refused, since no address is compared in it.
 */
function isPlainRange(text: string): boolean {
  if (ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) return true;
  return ipaddr.IPv6.isValidCIDR(text) && !ipaddr.IPv6.parseCIDR(text)[0].isIPv4MappedAddress();
}

function isPlainAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/**
 * Whether an address lies in one of the ranges. IPv4 in IPv6 clothing (::ffff:192.0.2.1) counts as IPv4.
 * An address that cannot be read lies in none.
 */
export function isInNetworks(address: string, networks: readonly string[]): boolean {
  if (!isPlainAddress(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = rangeOf(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}

type Range = ReturnType<typeof ipaddr.parseCIDR>;

/** There are as many as grants and orders name; to read one takes longer than to compare with it. */
const ranges = new Map<string, Range>();
const MOST_RANGES = 10_000;

function rangeOf(network: string): Range {
  const known = ranges.get(network);
  if (known) return known;
  if (ranges.size >= MOST_RANGES) ranges.clear();
  const range = ipaddr.parseCIDR(network);
  ranges.set(network, range);
  return range;
}

/**
 * The addresses that one subscriber holds: a single one of IPv4, a whole /64 of IPv6. However an address is
 * written, it comes to one text; what is no address stands for itself.
 */
export function subscriberNetwork(address: string): string {
  if (!isPlainAddress(address)) return address.slice(0, 64);
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6
    ? `${parsed.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
    : parsed.toString();
}

/** Whether every address of a range lies in one of the others. Those are looked at one by one: a union of them is not seen. */
export function isCovered(range: string, by: readonly string[]): boolean {
  const [base, bits] = ipaddr.parseCIDR(range);
  return by.some((other) => {
    const [outerBase, outerBits] = ipaddr.parseCIDR(other);
    return (
      outerBase.kind() === base.kind() && outerBits <= bits && base.match(outerBase, outerBits)
    );
  });
}
