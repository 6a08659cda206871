/** Exports of the audit log: made at once, looked at, and resumed where they were cut. */
import { z } from 'zod';
import {
  beginExport,
  resumeExport,
  showExport,
  type OpenExport,
} from '../../broker/export-audit.ts';
import { searchShape } from '../../core/audit/entry-search.ts';
import {
  EXPORT_FILES,
  exportFormatSchema,
  exportedFormatSchema,
} from '../../core/audit/exports.ts';
import { idSchema } from '../../core/ids.ts';
import { toEtag } from '../if-match.ts';
import { mediaRoute, route } from '../route.ts';
import { instant, named, toInstant } from '../schemas.ts';

const tag = 'Audit log';

const index = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const askedSchema = named(
  'ExportRequest',
  z.strictObject({
    format: exportFormatSchema
      .default('bundle')
      .describe('bundle: the whole log with its proofs, a tar; the others are for analysis'),
    from: index.optional().describe('First index; without it, where the log begins'),
    to: index.optional().describe('Index after the last one; without it, all there is'),
    witnessed: z
      .boolean()
      .default(false)
      .describe('true: up to the newest checkpoint that enough witnesses have cosigned'),
    ...searchShape,
  }),
);

const exportAnswer = named(
  'Export',
  z.object({
    id: z.string(),
    format: exportedFormatSchema,
    exportedAt: instant,
    resumableUntil: instant,
    from: z.int(),
    to: z.int().describe('Index after the last entry that is looked at'),
    size: z.int().describe('Entries of the log, by the checkpoint'),
    checkpoint: z.string().describe('Signed: the export is of entries below it'),
    running: z
      .object({ entries: z.int().describe('Written so far'), bytes: z.int() })
      .nullable()
      .describe('null: nobody reads it now'),
    completed: z
      .object({
        entries: z.int(),
        bytes: z.int(),
        sha256: z.string().describe('Of all of it, hex'),
      })
      .nullable()
      .describe('null: it was never read to its end'),
  }),
);

const params = z.strictObject({ export: idSchema('exp') });

/** What is said of an export beside its bytes. */
export function headersOf({
  id,
  format,
  from,
  size,
  checkpoint,
}: OpenExport): Record<string, string> {
  const { extension, media } = EXPORT_FILES[format];
  return {
    'content-type': media,
    'content-disposition': `attachment; filename="sallyport-${id}.${extension}"`,
    'accept-ranges': 'bytes',
    etag: toEtag(id),
    'x-sallyport-export': id,
    'x-sallyport-size': String(size),
    'x-sallyport-from': String(from),
    'x-sallyport-checkpoint': Buffer.from(checkpoint, 'utf8').toString('base64'),
  };
}

export const EXPORT_ROUTES = [
  mediaRoute({
    method: 'post',
    path: '/api/v1/exports',
    action: 'export.create',
    tag,
    summary: 'Export the audit log',
    description:
      'Recorded before the first byte. A bundle is a tar that "sallyport audit verify" checks offline; partners export what is about their own people in the other formats. Headers: x-sallyport-export (id), x-sallyport-from (first index that was looked at), x-sallyport-size (entries of the log) and x-sallyport-checkpoint (base64).',
    body: askedSchema,
    media: 'application/octet-stream',
    handle: async ({ broker, actorId, body }) => {
      const { format, from, to, witnessed, ...filter } = body;
      const opened = await beginExport(broker, actorId, { format, from, to, witnessed, filter });
      return { headers: headersOf(opened), body: opened.content };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/exports/:export',
    action: 'export.create',
    tag,
    summary: 'Show an export of your own',
    description: 'How far it has come; when it is complete, its length and digest.',
    params,
    answer: exportAnswer,
    handle: async ({ broker, actorId, params: { export: id } }) => {
      const { data, running, completed, ...times } = await showExport(broker, actorId, id);
      const { format, from, to, size, checkpoint } = data;
      return {
        id,
        format,
        exportedAt: toInstant(times.exportedAt),
        resumableUntil: toInstant(times.resumableUntil),
        from,
        to,
        size,
        checkpoint,
        running: running ?? null,
        completed: completed ?? null,
      };
    },
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/exports/:export/content',
    action: 'export.create',
    tag,
    summary: 'Read an export again, or the rest of it',
    description:
      'The same bytes as before, for whoever made it, within seven days. Takes "Range: bytes=N-", with If-Range or without. It is made once more: of another format than a bundle, that takes as long as the first time.',
    params,
    media: 'application/octet-stream',
    handle: async ({ broker, actorId, params: { export: id }, range, gone }) => {
      const isWanted = range !== undefined && (range.of === undefined || range.of === id);
      const from = isWanted ? range.from : 0;
      const { total, ...opened } = await resumeExport(broker, actorId, id, from, gone);
      const headers = { ...headersOf(opened), 'content-length': String(total - from) };
      if (!isWanted) return { headers, body: opened.content };
      const part = `bytes ${from}-${total - 1}/${total}`;
      return { status: 206, headers: { ...headers, 'content-range': part }, body: opened.content };
    },
  }),
];
