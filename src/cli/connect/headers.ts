/** Which headers pass the proxy, either way. */
import type { IncomingHttpHeaders } from 'node:http';

type Headers = Record<string, string | string[] | undefined>;

/** What the broker knows of a request, and what SDKs say of themselves. All else stays on this machine. */
const ONWARD = new Set([
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'content-encoding',
  'content-type',
  'idempotency-key',
  'openai-beta',
  'user-agent',
]);

/** Of SDKs: their version, the platform, how often they have tried. */
const ONWARD_PREFIX = 'x-stainless-';

/** RFC 9110, section 7.6.1: about one connection, and meant for nobody beyond it. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Of the broker's answer: challenges and nonces, which are between the broker and this run's key. */
const NOT_BACK = new Set([...HOP_BY_HOP, 'dpop-nonce', 'www-authenticate']);

/** What goes to the broker with a request. The answer must come as it is, since it passes byte by byte. */
export function headersOnward(client: IncomingHttpHeaders): Record<string, string | string[]> {
  const passed = pick(client, (name) => ONWARD.has(name) || name.startsWith(ONWARD_PREFIX));
  return { ...passed, 'accept-encoding': 'identity' };
}

/** What the local client gets of an answer's headers. */
export function headersBack(broker: Headers): Record<string, string | string[]> {
  return pick(broker, (name) => !NOT_BACK.has(name));
}

/** The one value of a header; undefined where it was not sent, or several times. */
export function single(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function pick(
  headers: Headers,
  passes: (name: string) => boolean,
): Record<string, string | string[]> {
  // Those that it names are about this connection alone.
  const named = new Set(
    String(headers['connection'] ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && passes(name) && !named.has(name)) passed[name] = value;
  }
  return passed;
}
