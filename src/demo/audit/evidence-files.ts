/** What somebody does to an evidence bundle who wants it to say something else. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { evidenceBundle } from '../../audit/bundle.ts';
import { streamTar } from '../../audit/tar-writer.ts';
import { formatCheckpoint } from '../../core/audit/checkpoint.ts';
import { leafHash } from '../../core/audit/merkle.ts';
import { ed25519Signer, formatVerifierKey, rawPublicKey } from '../../core/audit/note-keys.ts';
import { signNote, type NoteSigner } from '../../core/audit/note.ts';
import { EMPTY_EDGE, appendLeaves } from '../../core/audit/tree-edge.ts';

/** Files of a bundle by their paths, in its order. */
export type Unpacked = Map<string, Buffer>;

export async function unpack(path: string): Promise<Unpacked> {
  const files: Unpacked = new Map();
  for await (const entry of Readable.from([readFileSync(path)]).pipe(extract()))
    files.set(entry.header.name, await buffer(entry));
  return files;
}

export const pack = (files: Unpacked): Promise<Buffer> =>
  buffer(
    streamTar(async (add) => {
      for (const [path, content] of files) await add(path, content);
    }),
  );

/** Its entries, one line each. Of a log as small as the demo's, all of them are in one file. */
export const linesOf = (files: Unpacked): string[] =>
  entriesFile(files)[1].toString('utf8').trimEnd().split('\n');

/** The same files with other entries. */
export const withLines = (files: Unpacked, lines: readonly string[]): Unpacked =>
  new Map(files).set(entriesFile(files)[0], Buffer.from(lines.map((one) => `${one}\n`).join('')));

function entriesFile(files: Unpacked): [string, Buffer] {
  const found = [...files].filter(([path]) => path.startsWith('entries/'));
  const [only] = found;
  if (only === undefined || found.length > 1)
    throw new Error(`Expected one file of entries, found ${found.length}.`);
  return only;
}

/** A whole bundle over these entries that agrees with itself: new hashes, and a checkpoint by a key that was just made. */
export async function rewritten(origin: string, lines: readonly string[]): Promise<Buffer> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const history = historyOf(origin, lines, ed25519Signer(origin, privateKey));
  return buffer(
    evidenceBundle({
      ...history,
      verifierKey: formatVerifierKey(origin, rawPublicKey(privateKey)),
      entries: [lines.map((line) => Buffer.from(line))],
    }),
  );
}

/** Checkpoint and tiles of a log that has these entries, by whoever has its key. */
export function historyOf(
  origin: string,
  lines: readonly string[],
  signer: NoteSigner,
): { checkpoint: string; tile: (level: number, n: number) => Uint8Array | undefined } {
  const leaves = lines.map((line) => leafHash(Buffer.from(line)));
  const { rows, root } = appendLeaves(EMPTY_EDGE, leaves);
  const tiles = new Map(rows.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
  return {
    checkpoint: signNote(formatCheckpoint({ origin, size: lines.length, root }), [signer]),
    tile: (level, n) => tiles.get(`${level}/${n}`),
  };
}
