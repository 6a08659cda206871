/** Exports of the log: formats, and what fixes the bytes of one. */
import { z } from 'zod';
import { searchSchema } from './entry-search.ts';

/** `bundle` proves; the others are for analysis. */
export const exportFormatSchema = z.enum(['bundle', 'jsonl', 'csv', 'parquet', 'ocsf']);
export type ExportFormat = z.infer<typeof exportFormatSchema>;

/** As exports are made: an archive is a bundle of the oldest entries, for whoever prunes them (store/operations/retention.ts). */
export const exportedFormatSchema = z.enum([...exportFormatSchema.options, 'archive']);
export type ExportedFormat = z.infer<typeof exportedFormatSchema>;

/** How each is named and sent. */
export const EXPORT_FILES: Record<ExportedFormat, { extension: string; media: string }> = {
  bundle: { extension: 'tar', media: 'application/x-tar' },
  archive: { extension: 'archive.tar', media: 'application/x-tar' },
  jsonl: { extension: 'jsonl', media: 'application/jsonl' },
  csv: { extension: 'csv', media: 'text/csv; charset=utf-8' },
  parquet: { extension: 'parquet', media: 'application/vnd.apache.parquet' },
  ocsf: { extension: 'ocsf.jsonl', media: 'application/jsonl' },
};

/** Raised when the same entries come out as other bytes than before: an older export is then not resumed. */
export const EXPORT_LAYOUT = 1;

/** For so long an export can be resumed, from when it was made. */
export const RESUMABLE_MS = 7 * 86_400_000;

/** What an export holds: of the entries `from` to `to - 1`, those that are about all that is asked for. */
export interface ExportRange {
  from: number;
  to: number;
}

/** What the entry `audit.exported` says: all that an export follows from, so that it can be made once more. */
export const exportedDataSchema = z.object({
  format: exportedFormatSchema,
  layout: z.int(),
  from: z.int().min(0),
  to: z.int().min(0),
  filter: searchSchema.prefault({}),
  /** Of the log, by the checkpoint. */
  size: z.int().min(0),
  checkpoint: z.string(),
  /** Of an archive, as everybody concerned was told: what it holds is not pruned before. RFC 3339. */
  prunedFrom: z.iso.datetime().optional(),
  /** Of an archive: nothing younger is pruned by it, whatever the policy says by then. */
  archiveAfterDays: z.number().optional(),
});

export type ExportedData = z.infer<typeof exportedDataSchema>;
