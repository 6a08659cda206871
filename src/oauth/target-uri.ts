/** The target of a request, as both sides of a DPoP proof write it down (RFC 9449, section 4.3, rule 9). */

/** RFC 3986, section 2, and nothing else: a URL parser would mend what is none, and so equate the unequal. */
const URI_TEXT = /^(?:[\w\-.~:/?#[\]@!$&'()*+,;=]|%[\dA-F]{2})+$/i;
const AUTHORITY = /^https?:\/\/(?<authority>[^/?#]+)/i;
const UNRESERVED = /^[\w\-.~]$/;

interface TargetUri {
  /** Scheme, host, port and path in normal form (RFC 3986, sections 6.2.2 and 6.2.3). */
  normal: string;
  hasUserInfo: boolean;
}

/**
 * Normalises a URI for comparison: case, percent-encoding, dot segments, default port, empty path. Query
 * and fragment are left out.
 *
 * @returns undefined when it is not an absolute http or https URI
 */
export function parseTargetUri(text: string): TargetUri | undefined {
  const authority = AUTHORITY.exec(text)?.groups?.['authority'];
  if (authority === undefined || !URI_TEXT.test(text)) return undefined;
  const decoded = text.replace(/%[\dA-F]{2}/gi, normalOctet);
  if (!URL.canParse(decoded)) return undefined;
  const { origin, pathname } = new URL(decoded);
  return { normal: origin + pathname, hasUserInfo: authority.includes('@') };
}

function normalOctet(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
  return UNRESERVED.test(character) ? character : encoded.toUpperCase();
}
