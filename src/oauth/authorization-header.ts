/** The credential of an Authorization header: RFC 6750, section 2.1, and RFC 9449, section 7.1. */
export interface Credential {
  scheme: 'Bearer' | 'DPoP';
  token: string;
}

/** Reads one header. Undefined where it is in another scheme, or not one token. */
export function parseAuthorization(header: string): Credential | undefined {
  const [, scheme, token] = /^(Bearer|DPoP) +(\S+) *$/i.exec(header) ?? [];
  if (scheme === undefined || token === undefined) return undefined;
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token };
}
