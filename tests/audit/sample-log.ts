/** A small log with everything a bundle is made from, and bundles of it to damage. */
import { generateKeyPairSync } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { extract, pack } from 'tar-stream';
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { serialiseEntry, writeEntry } from '../../src/core/audit/entry.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { ed25519Signer, formatVerifierKey, rawPublicKey } from '../../src/core/audit/note-keys.ts';
import { signNote } from '../../src/core/audit/note.ts';
import { EMPTY_EDGE, appendLeaves } from '../../src/core/audit/tree-edge.ts';
import { evidenceBundle, type BundleContents } from '../../src/audit/bundle.ts';

const ORIGIN = 'audit.lab.example/sallyport';

export function newLogKey(origin = ORIGIN) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const signer = ed25519Signer(origin, privateKey);
  return {
    verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)),
    sign: (size: number, root: Uint8Array) =>
      signNote(formatCheckpoint({ origin, size, root }), [signer]),
  };
}

/** An entry as the writer makes it, of varying length and with characters of several bytes. */
export function sampleEntry(index: number, log = ORIGIN): Buffer {
  const run = 'prüfung–'.repeat(index % 3);
  return serialiseEntry(
    writeEntry({
      id: `ent_${index}`,
      kind: 'audit.read',
      at: index,
      actor: { system: 'broker' },
      run,
    }),
    { log, index, committedAt: index, host: 'lab_host' },
  );
}

export interface SampleLog extends BundleContents {
  lines: Buffer[];
  tiles: Map<string, Buffer>;
}

/** A log over these entries, with all tiles up to the last one. */
export function logOf(lines: Buffer[], key = newLogKey()): SampleLog {
  const { rows, root } = appendLeaves(EMPTY_EDGE, lines.map(leafHash));
  const tiles = new Map(rows.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
  return {
    lines,
    tiles,
    checkpoint: key.sign(lines.length, root),
    verifierKey: key.verifierKey,
    tile: (level, n) => tiles.get(`${level}/${n}`),
    entries: batches(lines, 100),
  };
}

export function sampleLog(size: number): SampleLog {
  return logOf(Array.from({ length: size }, (_, index) => sampleEntry(index)));
}

/** The list in pieces, as often as it is asked for. */
export function batches(lines: readonly Buffer[], length: number): Iterable<Buffer[]> {
  return {
    *[Symbol.iterator]() {
      for (let at = 0; at < lines.length; at += length) yield lines.slice(at, at + length);
    },
  };
}

export function bundleOf(contents: BundleContents): Promise<Buffer> {
  return buffer(evidenceBundle(contents));
}

export interface TarFile {
  name: string;
  content: Buffer;
}

/** Reads an archive with another implementation than the verifier's. */
export async function unpack(tar: Buffer): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract())) {
    files.push({ name: entry.header.name, content: await buffer(entry) });
  }
  return files;
}

/** Packs files with general tar software, as somebody who changes a bundle would. */
export function repack(files: readonly TarFile[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, content } of files) tar.entry({ name }, content);
  tar.finalize();
  return buffer(tar);
}
