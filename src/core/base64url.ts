/** Octets as text (RFC 4648, section 5), in the one form that they have. */

/**
 * The octets of a text in base64url; undefined where it has padding, a foreign character, or stray bits behind
 * the last octet, with which the same octets, and so the same key, would go by several names.
 */
export function octetsOf(text: string): Buffer | undefined {
  const octets = Buffer.from(text, 'base64url');
  return octets.toString('base64url') === text ? octets : undefined;
}
