/** What is in a report on an incident: its files, and the entries of the log that it rests on. */
import { z } from 'zod';

/** Name and version of the format. */
const REPORT_FORMAT = 'sallyport-incident/1';

/** Entries that one report holds at most: its manifest, which is read whole, names them all. */
export const MOST_REPORT_ENTRIES = 100_000;

/** More than the manifest of a report has, with all its files and entries. */
export const MOST_REPORT_MANIFEST_BYTES = 4 * 1024 * 1024;

const manifestSchema = z.strictObject({
  format: z.literal(REPORT_FORMAT),
  /** The log that the entries are of. */
  origin: z.string(),
  incident: z.string(),
  /** Id of the export, which its entry in the log names as well. */
  export: z.string(),
  madeAt: z.string(),
  /** Of a log whose key was replaced: the document that says so (core/audit/key-history.ts). */
  keyHistory: z.string().optional(),
  files: z.array(
    z.strictObject({
      path: z.string().regex(/^[a-z]+(\/[a-z0-9_]+)?\.(md|html|json)$/),
      bytes: z.int().min(0),
      sha256: z.string(),
    }),
  ),
  /** Indexes, in the order of the log. */
  entries: z.array(z.int().min(0)),
});

export type ReportManifest = z.infer<typeof manifestSchema>;

/** The manifest's exact bytes. The log has their digest. */
export function reportManifest(manifest: Omit<ReportManifest, 'format'>): Buffer {
  const { entries, ...rest } = manifest;
  const head = JSON.stringify({ format: REPORT_FORMAT, ...rest }, null, 2).slice(0, -2);
  return Buffer.from(`${head},\n  "entries": ${JSON.stringify(entries)}\n}\n`, 'utf8');
}

/** Whether a manifest says that it is of a report, whether or not it is a sound one. */
export function isReportManifest(bytes: Buffer): boolean {
  return formatOf(bytes) === REPORT_FORMAT;
}

/** Reads a manifest; undefined where it is not one of a report. */
export function parseReportManifest(bytes: Buffer): ReportManifest | undefined {
  return manifestSchema.safeParse(jsonOf(bytes)).data;
}

function formatOf(bytes: Buffer): unknown {
  const found = jsonOf(bytes);
  return typeof found === 'object' && found !== null && 'format' in found
    ? found.format
    : undefined;
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** An entry's exact bytes, and its proof. */
export interface EvidencePaths {
  entry: string;
  proof: string;
}

const evidencePaths = (name: string): EvidencePaths => ({
  entry: `evidence/${name}.json`,
  proof: `evidence/${name}.tlog-proof`,
});

/** The entry that records the export: it has the digest of the manifest. */
export const EXPORT_EVIDENCE = evidencePaths('export');

/** Names sort like indexes. */
export const evidenceOf = (index: number): EvidencePaths =>
  evidencePaths(String(index).padStart(12, '0'));

/** Folders that hold nothing but what the manifest names. */
export const REPORT_FOLDERS = ['evidence', 'orders'];

/** All files after manifest, checkpoint and key, in their order. */
export function reportPaths({ files, entries }: ReportManifest): string[] {
  const evidence = [EXPORT_EVIDENCE, ...entries.map(evidenceOf)];
  return [...files.map(({ path }) => path), ...evidence.flatMap((one) => [one.entry, one.proof])];
}
