/** Fetches a JWK set over HTTP: bounded in time and size, from the named address and nowhere else. */
import { request, type Agent, type Dispatcher } from 'undici';
import { isLoopback } from '../core/loopback.ts';
import { freshnessOf } from './freshness.ts';
import { readKeySet, type FoundKey } from './key-set.ts';

const MOST_BYTES = 65_536;

const JSON_TYPE = /^application\/([\w.+-]+\+)?json\s*(;|$)/i;

export interface FetchSettings {
  agent: Agent;
  /** Whether http:// is taken to the loopback interface; nowhere else is it ever. */
  allowInsecureLoopback: boolean;
  /** For all of it: name, connection, TLS, headers and body. */
  withinMs: number;
  /** Epoch milliseconds, for what the answer says about its age. */
  now: number;
}

export interface RemoteKeySet {
  keys: FoundKey[];
  /** Milliseconds that the answer says it may be kept; undefined where it says nothing. */
  lifetimeMs: number | undefined;
}

/**
 * Fetches and reads a JWK set. Redirects are not followed: the keys are those of the address that was
 * registered.
 *
 * @throws Error with a sentence for the operational log; nothing of the answer is quoted
 */
export async function fetchKeySet(url: string, settings: FetchSettings): Promise<RemoteKeySet> {
  const { agent, withinMs, now } = settings;
  const target = checkedUrl(url, settings.allowInsecureLoopback);
  const signal = AbortSignal.timeout(withinMs);
  try {
    const { statusCode, headers, body } = await request(target, {
      dispatcher: agent,
      headers: {
        accept: 'application/jwk-set+json, application/json',
        'accept-encoding': 'identity',
        'user-agent': 'sallyport',
      },
      // Fetched once in minutes: no connection is kept for it.
      reset: true,
      signal,
    });
    try {
      checkHead(statusCode, headers);
      return {
        keys: await readKeySet(parseJson(await readBounded(body))),
        lifetimeMs: freshnessOf(headers, now),
      };
    } finally {
      // A body that was not read to its end would hold the connection.
      body.on('error', () => undefined).destroy();
    }
  } catch (error) {
    if (signal.aborted) throw new Error(`No answer within ${withinMs} ms.`, { cause: error });
    throw error;
  }
}

function checkedUrl(url: string, allowInsecureLoopback: boolean): URL {
  if (!URL.canParse(url)) throw new Error('The address of the keys is not a URL.');
  const target = new URL(url);
  if (target.username || target.password)
    throw new Error('The address of the keys must not hold credentials.');
  const insecureButHere =
    target.protocol === 'http:' && allowInsecureLoopback && isLoopback(target.hostname);
  if (target.protocol !== 'https:' && !insecureButHere)
    throw new Error('The address of the keys must be an https:// URL.');
  return target;
}

function checkHead(status: number, headers: Dispatcher.ResponseData['headers']): void {
  if (status !== 200) throw new Error(`The answer has status ${status}, not 200.`);
  const type = headers['content-type'];
  if (typeof type !== 'string' || !JSON_TYPE.test(type))
    throw new Error('The answer is not of type application/json or application/jwk-set+json.');
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new Error('The answer is compressed, which was not asked for.');
  if (Number(headers['content-length'] ?? 0) > MOST_BYTES) throw tooLarge();
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MOST_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const tooLarge = (): Error => new Error(`The answer is larger than ${MOST_BYTES} bytes.`);

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // The parser's own message quotes the text.
    throw new Error('The answer is not JSON in UTF-8.');
  }
}
