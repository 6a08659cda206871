/** A log read from a running broker: hashes are anybody's to see, entries are for those entitled. */
import { TILE_WIDTH, tilePath, tileWidth } from '../../core/tlog/tiles.ts';
import { HASH_BYTES } from '../../core/tlog/tree.ts';
import type { LogSource } from '../../verify/log-source.ts';
import { brokerUrl, connect } from '../connection.ts';
import { bytesOf, errorOf, send } from '../http.ts';
import { RefusedByBroker } from '../problems.ts';
import { readProfiles } from '../profiles.ts';
import type { Surroundings } from '../surroundings.ts';

/** Where the API has the log. */
const LOG_PATH = '/log';
const PREFIX = `/api/v1${LOG_PATH}`;

/** The history of a log's keys: a thousand steps, each with a note of some hundred bytes. */
const MOST_KEYS_BYTES = 2_097_152;

/** The codes with which a broker says that it has no such thing, or has it no more. */
const NOT_THERE: ReadonlySet<string> = new Set(['not_found', 'entry_archived']);

/** A broker's log. */
export interface HttpLog {
  source: LogSource;
  /** Why entries are not to be had; undefined if they are. */
  withoutEntries: string | undefined;
}

/** Whether a target is a broker rather than a path. */
export function isUrl(target: string): boolean {
  return /^https?:\/\//i.test(target);
}

/**
 * Opens a broker's log. Entries are asked for as the person of the profile, or of the one profile that is of this
 * broker.
 *
 * @param target the broker's URL, with or without the path of its log
 * @param size entries of the log, by its checkpoint
 * @param without why entries are not asked for at all
 * @throws CliError
 */
export async function openHttpLog(
  around: Surroundings,
  target: string,
  profile: string | undefined,
  size: number,
  without: string | undefined,
): Promise<HttpLog> {
  const base = baseOf(target);
  const { read: open } = openSource(target);
  if (without !== undefined) return { source: { read: open }, withoutEntries: without };
  const name = profile ?? profileOf(around, base);
  if (name === undefined) {
    const withoutEntries =
      'you are not logged in to this broker, and it shows its entries to those entitled alone';
    return { source: { read: open }, withoutEntries };
  }
  const broker = await connect(around, { profile: name });
  const read = async (path: string): Promise<Uint8Array | undefined> => {
    if (!path.startsWith('tile/entries/')) return open(path);
    try {
      const response = await broker.request('GET', `${LOG_PATH}/${path}`);
      return await bytesOf(response, mostOf(path));
    } catch (error) {
      if (error instanceof RefusedByBroker && NOT_THERE.has(error.code)) return undefined;
      throw error;
    }
  };
  return { source: { read }, withoutEntries: await whyNot(read, size) };
}

/** What a broker's log shows to anybody. */
export function openSource(target: string): LogSource {
  const base = baseOf(target);
  return { read: (path) => readOpenly(`${base}${PREFIX}/${path}`, mostOf(path)) };
}

/** The signed checkpoint that a broker serves. @throws CliError */
export async function fetchCheckpoint(target: string): Promise<Uint8Array> {
  const url = `${baseOf(target)}${PREFIX}/checkpoint`;
  const response = await send(url);
  if (!response.ok) throw await errorOf(url, response);
  return bytesOf(response, mostOf('checkpoint'));
}

/** The history of a log's keys, as its broker offers it; undefined from one that offers none. @throws CliError */
export async function fetchKeyHistory(target: string): Promise<string | undefined> {
  const document = await openSource(target).read('keys');
  return document && Buffer.from(document).toString('utf8');
}

function baseOf(target: string): string {
  const url = brokerUrl(target);
  return url.endsWith(PREFIX) ? url.slice(0, -PREFIX.length) : url;
}

function profileOf({ env }: Surroundings, base: string): string | undefined {
  const { default: usual, profiles } = readProfiles(env);
  const names = Object.keys(profiles).filter((name) => profiles[name]?.url === base);
  return usual !== null && names.includes(usual) ? usual : names[0];
}

async function readOpenly(url: string, most: number): Promise<Uint8Array | undefined> {
  const response = await send(url);
  if (response.status === 404 || response.status === 410) {
    // It may have no end, and would keep the connection.
    await response.body?.cancel();
    return undefined;
  }
  if (!response.ok) throw await errorOf(url, response);
  return bytesOf(response, most);
}

/** The most bytes that a file of a log can have. */
function mostOf(path: string): number {
  // An entry has up to 65,535 bytes, and two before it say how many.
  if (path.startsWith('tile/entries/')) return TILE_WIDTH * 65_537;
  if (path.startsWith('tile/')) return TILE_WIDTH * HASH_BYTES;
  return path === 'checkpoint' ? 65_536 : MOST_KEYS_BYTES;
}

/** Whether the last bundle of entries is to be had tells whether any is: the first ones may have been pruned. */
async function whyNot(read: LogSource['read'], size: number): Promise<string | undefined> {
  if (size === 0) return undefined;
  const n = Math.floor((size - 1) / TILE_WIDTH);
  const last = tilePath({ level: 'entries', n, width: tileWidth(size, 0, n) });
  try {
    if ((await read(last)) !== undefined) return undefined;
    return 'the broker does not serve them';
  } catch (error) {
    if (!(error instanceof RefusedByBroker)) throw error;
    return `the broker refused (${error.code}): ${error.detail}`;
  }
}
