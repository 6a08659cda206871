/** Writes a report on an incident with its evidence: files, and entries of the log with their proofs. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { openCheckpoint } from '../core/audit/checkpoint.ts';
import type { HashAt } from '../core/audit/merkle.ts';
import { inclusionProof } from '../core/audit/proofs.ts';
import { hashesFromTiles, type ReadTile } from '../core/audit/tiles.ts';
import { formatTlogProof } from '../core/audit/tlog-proof.ts';
import { CHECKPOINT_PATH, MANIFEST_PATH, VERIFIER_KEY_PATH } from './bundle-layout.ts';
import {
  EXPORT_EVIDENCE,
  evidenceOf,
  reportManifest,
  type EvidencePaths,
  type ReportManifest,
} from './report-layout.ts';
import { streamTar } from './tar-writer.ts';

export interface ReportFile {
  path: string;
  content: Buffer;
}

/** The manifest of a report, and its digest: what the entry of the export binds it by. */
export function manifestOf(
  about: Omit<ReportManifest, 'format' | 'files'>,
  files: readonly ReportFile[],
): { manifest: Buffer; sha256: string } {
  const manifest = reportManifest({
    ...about,
    files: files.map(({ path, content }) => ({
      path,
      bytes: content.length,
      sha256: sha256(content),
    })),
  });
  return { manifest, sha256: sha256(manifest) };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export interface ReportContents {
  manifest: Buffer;
  files: readonly ReportFile[];
  /** Indexes of the entries that it rests on. */
  entries: readonly number[];
  /** Index of the entry that records the export. */
  exportIndex: number;
  /** A signed checkpoint that covers all of them. */
  checkpoint: string;
  /** The key that signed it, as text. */
  verifierKey: string;
  tile: ReadTile;
  /** The exact bytes of an entry. */
  entry: (index: number) => Buffer | undefined;
}

/** Entries after which others get their turn. */
const AT_A_TIME = 32;

/** Entries whose proofs share the hashes that were read and computed for them: they are neighbours. */
const SHARING = 512;

/**
 * Streams a report as a tar archive. Holds its files and one entry in memory, and lets others go on between entries.
 *
 * @throws NoteError, CheckpointError or RangeError at once when the key did not sign the checkpoint
 */
export function reportBundle(contents: ReportContents): Readable {
  const { size } = openCheckpoint(contents.checkpoint, contents.verifierKey);
  let hashes = remembering(hashesFromTiles(size, contents.tile));
  return streamTar(async (add) => {
    await add(MANIFEST_PATH, contents.manifest);
    await add(CHECKPOINT_PATH, Buffer.from(contents.checkpoint, 'utf8'));
    await add(VERIFIER_KEY_PATH, Buffer.from(`${contents.verifierKey}\n`, 'utf8'));
    for (const { path, content } of contents.files) await add(path, content);
    const addEvidence = async (index: number, paths: EvidencePaths): Promise<void> => {
      const bytes = contents.entry(index);
      if (!bytes) throw new Error(`The log has no entry ${index}.`);
      await add(paths.entry, bytes);
      const proof = inclusionProof(index, size, hashes);
      const text = formatTlogProof(index, proof, contents.checkpoint);
      await add(paths.proof, Buffer.from(text, 'utf8'));
    };
    await addEvidence(contents.exportIndex, EXPORT_EVIDENCE);
    for (const [i, index] of contents.entries.entries()) {
      if (i % AT_A_TIME === 0) await setImmediate();
      if (i % SHARING === 0) hashes = remembering(hashesFromTiles(size, contents.tile));
      await addEvidence(index, evidenceOf(index));
    }
  });
}

/** Computes each hash once: the proofs of neighbours have most of theirs in common. */
function remembering(hashAt: HashAt): HashAt {
  const known = new Map<string, Uint8Array>();
  return (level, index) => {
    const key = `${level}/${index}`;
    let hash = known.get(key);
    if (hash === undefined) {
      hash = hashAt(level, index);
      known.set(key, hash);
    }
    return hash;
  };
}
