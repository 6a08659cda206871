/** Retention of the log: what it allows, archiving the oldest entries, and pruning what is archived. */
import { z } from 'zod';
import { beginArchive } from '../../broker/export-audit.ts';
import { challengePruning, pruneLog } from '../../broker/prune-log.ts';
import { listArchives, showRetention } from '../../broker/retention.ts';
import { holdInWords } from '../../core/audit/retention.ts';
import { idSchema } from '../../core/ids.ts';
import { mediaRoute, route } from '../route.ts';
import { instant, named, toInstant } from '../schemas.ts';
import { headersOf } from './exports.ts';

const tag = 'Audit log';

const DAY_MS = 86_400_000;

const index = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const archiveAnswer = named(
  'Archive',
  z.object({
    export: z.string().describe('The export that made it'),
    first: z.int(),
    before: z.int().describe('It holds the entries from first to the one in front of this index'),
    sha256: z.string().describe('Of the archive, hex'),
    bytes: z.int(),
    size: z.int().describe('Entries of the log, by the checkpoint in the archive'),
    archivedBy: z.string().describe('The person who made it'),
    archivedAt: instant,
    prunedAt: instant,
  }),
);

export const RETENTION_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/log/archives',
    action: 'log.read',
    tag,
    summary: 'List the archives of what was pruned',
    description:
      'Where the log begins here (the minimum index of C2SP tlog-tiles), and which archive has the entries in front of that. Hash tiles and proofs of all entries stay.',
    answer: z.object({ begins: z.int(), items: z.array(archiveAnswer) }),
    handle: ({ broker, actorId }) => {
      const archives = listArchives(broker, actorId);
      const items = archives.map((one) => ({
        ...one,
        export: one.exportId,
        archivedAt: toInstant(one.archivedAt),
        prunedAt: toInstant(one.at),
      }));
      return { begins: archives.at(-1)?.before ?? 0, items };
    },
  }),
  mediaRoute({
    method: 'post',
    path: '/api/v1/log/archives',
    action: 'log.archive',
    tag,
    summary: 'Archive the oldest entries of the log',
    description:
      'An evidence bundle of the entries from where the log begins, as far as the retention of the configuration goes. Recorded before the first byte, and everybody concerned is told. It is resumed like an export. Nothing is pruned by it.',
    body: named(
      'ArchiveRequest',
      z.strictObject({
        before: index
          .optional()
          .describe('Index after the last one, a multiple of 256; without it, all that may be'),
      }),
    ),
    media: 'application/octet-stream',
    handle: async ({ broker, actorId, body }) => {
      const opened = await beginArchive(broker, actorId, body.before);
      return { headers: headersOf(opened), body: opened.content };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/log/retention',
    action: 'retention.read',
    tag,
    summary: 'Show what retention allows',
    description: 'As far as entries may be archived now, and what holds the later ones back.',
    answer: z.object({
      archiveAfterDays: z.number().nullable().describe('null: nothing is ever pruned'),
      noticeDays: z.number().nullable(),
      begins: z.int().describe('The first entry that is here'),
      before: z.int().describe('Entries in front of this index may be archived'),
      size: z.int(),
      removing: z.boolean().describe('Whether what was pruned is still being taken away'),
      holds: z.array(
        z.object({
          why: z.string(),
          id: z.string().nullable(),
          index: z.int().describe('It needs the entries from here on'),
          text: z.string(),
        }),
      ),
    }),
    handle: async ({ broker, actorId }) => {
      const { policy, begins, before, size, holds, isRemoving } = await showRetention(
        broker,
        actorId,
      );
      return {
        archiveAfterDays: policy ? policy.archiveAfterMs / DAY_MS : null,
        noticeDays: policy ? policy.noticeMs / DAY_MS : null,
        begins,
        before,
        size,
        removing: isRemoving,
        holds: holds.map((hold) => ({ ...hold, id: hold.id ?? null, text: holdInWords(hold) })),
      };
    },
  }),
  route({
    method: 'post',
    path: '/api/v1/log/prunings/challenges',
    action: 'log.prune',
    tag,
    summary: 'Get a challenge before pruning',
    description:
      'Where nothing stands against pruning by an archive but that you show it: what to make the proof with. It is good for an hour, for you and this archive.',
    body: named('PruneChallengeRequest', z.strictObject({ export: idSchema('exp') })),
    answer: z.object({
      challenge: z.string(),
      expiresAt: instant,
      first: z.int(),
      before: z.int(),
      bytes: z.int().describe('Of the archive'),
    }),
    handle: async ({ broker, actorId, body }) => {
      const { expiresAt, ...more } = await challengePruning(broker, actorId, body.export);
      return { ...more, expiresAt: toInstant(expiresAt) };
    },
  }),
  route({
    method: 'post',
    path: '/api/v1/log/prunings',
    action: 'log.prune',
    tag,
    summary: 'Prune what an archive holds',
    description:
      'Takes the entries of an archive out of the broker, for good. The archive begins where the log does, was made by another person, who neither introduced you nor was introduced by you, and is in your hands, which you show by the proof; everybody concerned was told of it long enough ago; nothing that is open needs the entries any more. Hash tiles, and with them all proofs, stay.',
    body: named(
      'PruneRequest',
      z.strictObject({
        export: idSchema('exp').describe('The export that made the archive'),
        challenge: z.string().min(1).max(200),
        proof: z
          .string()
          .regex(/^[0-9a-f]{64}$/, 'must be an HMAC-SHA-256 in hex')
          .describe('HMAC-SHA-256 of the archive that is kept, its key the text of the challenge'),
        dryRun: z.boolean().default(false).describe('true: decide, and prune nothing'),
      }),
    ),
    answer: z.object({
      first: z.int(),
      before: z.int(),
      bytes: z.int().describe('Of the archive'),
      pruned: z.boolean(),
    }),
    handle: async ({ broker, actorId, body, gone }) => {
      const { export: exportId, challenge, proof, dryRun } = body;
      const asked = { exportId, challenge, proof, dryRun };
      const pruned = await pruneLog(broker, actorId, asked, gone);
      return { ...pruned, pruned: !dryRun };
    },
  }),
];
