/** Which headers pass the proxy, either way. */
import type { IncomingHttpHeaders } from 'node:http';

type Headers = Record<string, string | string[] | undefined>;

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

/** Of the local request: its credentials, and what is set anew for the broker. */
const NOT_ONWARD = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'x-api-key',
  'dpop',
  'cookie',
  'host',
  'expect',
  'content-length',
  'accept-encoding',
]);

/** Of the broker's answer: challenges and nonces, which are between the broker and this run's key. */
const NOT_BACK = new Set([...HOP_BY_HOP, 'dpop-nonce', 'www-authenticate']);

/** What goes to the broker with a request. The answer must come as it is, since it passes byte by byte. */
export function headersOnward(client: IncomingHttpHeaders): Record<string, string | string[]> {
  return { ...without(client, NOT_ONWARD), 'accept-encoding': 'identity' };
}

/** What the local client gets of an answer's headers. */
export function headersBack(broker: Headers): Record<string, string | string[]> {
  return without(broker, NOT_BACK);
}

/** The one value of a header; undefined where it was not sent, or several times. */
export function single(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function without(headers: Headers, left: ReadonlySet<string>): Record<string, string | string[]> {
  const named = new Set(
    String(headers['connection'] ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
  const passed: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !left.has(name) && !named.has(name)) passed[name] = value;
  }
  return passed;
}
