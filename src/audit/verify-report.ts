/** Checks a report on an incident: every entry against the signed root, and every file against the entry of its export. */
import { createHash } from 'node:crypto';
import type { Checkpoint } from '../core/audit/checkpoint.ts';
import { MAX_ENTRY_BYTES } from '../core/audit/entry.ts';
import { leafHash } from '../core/audit/merkle.ts';
import { verifyInclusion } from '../core/audit/proofs.ts';
import { parseTlogProof } from '../core/audit/tlog-proof.ts';
import { FIXED_PATHS, MANIFEST_PATH } from './bundle-layout.ts';
import type { BundleFile, BundleReader } from './bundle-reader.ts';
import type { EntriesProgress } from '../verify/check-entries.ts';
import { incomplete, tampered } from '../verify/finding.ts';
import { assertOwnPlace } from '../verify/own-place.ts';
import {
  EXPORT_EVIDENCE,
  REPORT_FOLDERS,
  evidenceOf,
  parseReportManifest,
  reportPaths,
  type EvidencePaths,
  type ReportManifest,
} from './report-layout.ts';

/** More than a proof has: 64 hashes and a checkpoint. */
const MOST_PROOF_BYTES = 128 * 1024;

/** The checkpoint as it was read, with what it says. */
export interface SignedCheckpoint extends Checkpoint {
  note: Buffer;
}

/** What a report that was found right is about. */
export interface CheckedReport {
  incident: string;
  files: number;
  entries: number;
}

/**
 * Checks what comes after the key. The manifest counts only once the log's own entry of the export, under the signed
 * root, has its digest; so nothing is added, left out or exchanged unseen.
 *
 * @throws Finding naming the first file that is wrong or missing
 */
export async function checkReport(
  reader: BundleReader,
  manifestBytes: Buffer,
  checkpoint: SignedCheckpoint,
  progress: Pick<EntriesProgress, 'matching'>,
): Promise<CheckedReport> {
  const manifest = parseReportManifest(manifestBytes);
  if (!manifest)
    throw tampered(`${MANIFEST_PATH} was changed: it is not the manifest of a report.`);
  const paths = reportPaths(manifest);
  const next = fileByName(reader, paths);

  const digests = new Map<string, string>();
  for (const { path, bytes } of manifest.files) {
    const file = await next(path);
    if (file.size < bytes) throw incomplete(`${path} is cut short.`);
    if (file.size > bytes) throw tampered(`${path} was changed: it has more bytes than it had.`);
    digests.set(path, await sha256(file));
  }

  const checkEvidence = async (at: EvidencePaths, index?: number): Promise<Buffer> => {
    const entry = await whole(await next(at.entry), MAX_ENTRY_BYTES);
    const proof = await whole(await next(at.proof), MOST_PROOF_BYTES);
    checkProof(at, entry, proof, checkpoint, index);
    progress.matching += 1;
    return entry;
  };
  const exported = await checkEvidence(EXPORT_EVIDENCE);
  checkBinding(exported, manifestBytes, manifest);
  const changed = manifest.files.find(({ path, sha256: digest }) => digests.get(path) !== digest);
  if (changed) throw tampered(`${changed.path} was changed after the report was made.`);
  for (const index of manifest.entries) await checkEvidence(evidenceOf(index), index);

  const known = new Set([...FIXED_PATHS, ...paths]);
  const surplus = await reader.surplus((path) => known.has(path), REPORT_FOLDERS);
  if (surplus !== undefined) throw tampered(`It holds ${surplus}, which was not in the report.`);
  await reader.end();
  return {
    incident: manifest.incident,
    files: manifest.files.length,
    entries: manifest.entries.length,
  };
}

/** Gives a file by its name. Throws a Finding where it is not there: another one may be, in its place. */
function fileByName(
  reader: BundleReader,
  paths: readonly string[],
): (path: string) => Promise<BundleFile> {
  const known = new Set([...FIXED_PATHS, ...paths]);
  return async (path) => {
    const file = await reader.find(path);
    if (file !== undefined) return file;
    const other = await reader.surplus((name) => known.has(name), []);
    if (other === undefined) throw incomplete(`It does not hold ${path}.`);
    throw tampered(`It holds another file where ${path} should be.`);
  };
}

async function sha256(file: BundleFile): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of file.body()) hash.update(piece);
  return hash.digest('hex');
}

async function whole(file: BundleFile, most: number): Promise<Buffer> {
  if (file.size > most) throw tampered(`${file.path} was changed: it is too long.`);
  const pieces: Buffer[] = [];
  for await (const piece of file.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** @param expected the index that it must have, where that is known */
function checkProof(
  at: EvidencePaths,
  entry: Buffer,
  bytes: Buffer,
  { note, size, root, origin }: SignedCheckpoint,
  expected: number | undefined,
): void {
  const proof = parseTlogProof(bytes.toString('utf8'));
  if (!proof || proof.checkpoint !== note.toString('utf8'))
    throw tampered(`${at.proof} was changed: it does not lead to the checkpoint.`, expected);
  const { index, proof: hashes } = proof;
  const isIn = verifyInclusion({ index, size, leafHash: leafHash(entry), root, proof: hashes });
  if (!isIn || index !== (expected ?? index))
    throw tampered(
      `${at.entry} or its proof was changed: it is not what the log has at ${expected ?? index}.`,
      expected ?? index,
    );
  assertOwnPlace(entry, index, origin);
}

/** Whether the log's entry of the export is about this manifest. */
function checkBinding(
  entry: Buffer,
  manifest: Buffer,
  { incident, export: id }: ReportManifest,
): void {
  const digest = createHash('sha256').update(manifest).digest('hex');
  const { kind, ref, data } = JSON.parse(entry.toString('utf8')) as {
    kind?: string;
    ref?: string;
    data?: { export?: string; manifestSha256?: string };
  };
  if (kind !== 'incident.exported')
    throw tampered(`${EXPORT_EVIDENCE.entry} is not the entry of an export.`);
  if (data?.manifestSha256 !== digest || ref !== incident || data.export !== id)
    throw tampered(`${MANIFEST_PATH} was changed: the log has the digest of another one.`);
}
