/** The audit log: what anybody may check (checkpoint, key, hash tiles) and what some may read (entries). */
import { z } from 'zod';
import { readEntryBundle } from '../../broker/read-bundle.ts';
import { readLog, readLogEntry } from '../../broker/read-log.ts';
import { searchShape } from '../../core/audit/entry-search.ts';
import { HASH_BYTES } from '../../core/audit/merkle.ts';
import { TILE_WIDTH, parseTilePath, readTileAt, tileWidth } from '../../core/audit/tiles.ts';
import { refuse } from '../../core/denials.ts';
import type { StoredEntry } from '../../store/entry-index.ts';
import type { Readers } from '../../store/readers.ts';
import { mediaRoute, route, type MediaReply } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Audit log';
const TEXT = 'text/plain; charset=utf-8';

const index = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const entryAnswer = named(
  'Entry',
  z.object({
    index: z.int(),
    entry: z.record(z.string(), z.unknown()).describe('The entry, as it was hashed'),
  }),
);

const show = ({ index: at, bytes }: StoredEntry): z.input<typeof entryAnswer> => ({
  index: at,
  entry: JSON.parse(bytes.toString('utf8')) as Record<string, unknown>,
});

/** Hashes of a tile, of as many as were asked for, if the latest checkpoint covers them. */
function tileReply(readers: Readers, path: string): MediaReply {
  const address = parseTilePath(path);
  const size = readers.latestCheckpoint()?.size ?? 0;
  // Entries are not served this way: they are confidential, their hashes are not.
  if (!address || address.level === 'entries') return refuse('not_found', 'There is no such tile.');
  const { level, n, width } = address;
  if (width > tileWidth(size, level, n))
    return refuse('not_found', 'The latest checkpoint does not cover that tile.');
  const body = readTileAt(size, level, n, readers.readTile).subarray(0, width * HASH_BYTES);
  const full = width === TILE_WIDTH;
  return {
    headers: {
      'cache-control': full ? 'public, max-age=31536000, immutable' : 'public, max-age=60',
    },
    revalidates: true,
    body,
  };
}

export const LOG_ROUTES = [
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/checkpoint',
    action: 'public',
    tag,
    summary: 'The latest signed checkpoint',
    description: 'A C2SP tlog-checkpoint: origin, size and root, signed.',
    media: TEXT,
    handle: ({ broker }) => {
      const checkpoint = broker.readers.latestCheckpoint();
      return {
        headers: { 'cache-control': 'no-cache' },
        revalidates: true,
        body: checkpoint?.note ?? refuse('not_found', 'There is no checkpoint yet.'),
      };
    },
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/verifier-key',
    action: 'public',
    tag,
    summary: 'The key that verifies checkpoints',
    description:
      'A C2SP verifier key. Compare it with the one you were given by another way than this server.',
    media: TEXT,
    handle: ({ broker }) => ({ body: `${broker.store.verifierKey}\n` }),
  }),
  // Before the tiles of hashes, whose path would take it in.
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/tile/entries/*tile',
    action: 'log.mirror',
    tag,
    summary: 'An entry bundle',
    description:
      'C2SP tlog-tiles: for each entry its length (16 bits, big-endian) and its bytes, for mirrors. `tile` as for hashes. Only what the latest checkpoint covers. Readings are recorded, those of ten minutes together.',
    params: z.strictObject({ tile: z.string().max(64) }),
    media: 'application/octet-stream',
    handle: async ({ broker, actorId, params }) => {
      const { n, width } =
        parseTilePath(`tile/entries/${params.tile}`) ??
        refuse('not_found', 'There is no such bundle.');
      const full = width === TILE_WIDTH;
      return {
        headers: {
          'cache-control': full ? 'private, max-age=31536000, immutable' : 'private, max-age=60',
        },
        revalidates: true,
        compressible: true,
        body: await readEntryBundle(broker, actorId, n, width),
      };
    },
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/tile/:level/*tile',
    action: 'public',
    tag,
    summary: 'A tile of hashes',
    description:
      'C2SP tlog-tiles: `tile` has the form `x001/234`, with `.p/W` for a partial tile. Only what the latest checkpoint covers.',
    params: z.strictObject({ level: z.string().max(8), tile: z.string().max(64) }),
    media: 'application/octet-stream',
    handle: ({ broker, params: { level, tile } }) =>
      tileReply(broker.readers, `tile/${level}/${tile}`),
  }),
  route({
    method: 'get',
    path: '/api/v1/log/entries',
    action: 'log.read',
    tag,
    summary: 'Search the audit log',
    description:
      'Entries for which all that is asked for holds, in the order of the log or the newest first, within the reach of the caller. A page can hold fewer entries than limit, or none, and still have a next one. The reading is recorded.',
    query: z.strictObject({
      ...searchShape,
      from: index.default(0).describe('The lowest index that is looked at'),
      newest: z.enum(['true', 'false']).optional().describe('true: the newest entries come first'),
      cursor: index.optional().describe('"next" of the page before'),
      limit: z.coerce.number().int().min(1).max(200).default(50),
    }),
    answer: z.object({
      items: z.array(entryAnswer),
      next: z.string().nullable().describe('Hand it back as cursor; null: this was the last page'),
      archivedBefore: z
        .int()
        .nullable()
        .describe(
          'Entries in front of this index were asked for, too, and are in archives (see /log/archives): they were not looked at. null: none were',
        ),
    }),
    handle: async ({ broker, actorId, query }) => {
      const { from, cursor, limit, newest, ...search } = query;
      const range =
        newest === 'true'
          ? { direction: 'newest first' as const, from, below: cursor ?? Infinity, limit }
          : { direction: 'oldest first' as const, from: cursor ?? from, below: Infinity, limit };
      const { found, next } = await readLog(broker, actorId, search, range);
      const begins = broker.readers.minimumIndex();
      return {
        items: found.map(show),
        next: next === undefined ? null : String(next),
        archivedBefore: range.from < begins ? begins : null,
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/log/entries/:index',
    action: 'log.read',
    tag,
    summary: 'Read one entry of the audit log',
    description: 'The reading is recorded.',
    params: z.strictObject({ index }),
    answer: entryAnswer,
    handle: async ({ broker, actorId, params }) =>
      show(await readLogEntry(broker, actorId, params.index)),
  }),
];
