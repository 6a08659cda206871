/** What vectors are made of: keys from fixed seeds, small logs, and their files. The same every time. */
import { createPrivateKey, hash, type KeyObject } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { evidenceBundle } from '../../src/audit/bundle.ts';
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { serialiseEntry, writeEntry } from '../../src/core/audit/entry.ts';
import { formatKeyHistory, formatKeyStep } from '../../src/core/audit/key-history.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { ed25519Signer, formatVerifierKey, rawPublicKey } from '../../src/core/audit/note-keys.ts';
import { signNote, type NoteSigner } from '../../src/core/audit/note.ts';
import { inclusionProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { formatTlogProof } from '../../src/core/audit/tlog-proof.ts';
import { EMPTY_EDGE, appendLeaves } from '../../src/core/audit/tree-edge.ts';
import { TILE_WIDTH, tilePath, tilesOf } from '../../src/core/tlog/tiles.ts';

export const ORIGIN = 'vectors.example/log';

/** Files by their path. */
export type Files = Record<string, Buffer>;

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface VectorKey {
  verifierKey: string;
  signer: NoteSigner;
}

/** A key of that number. It is public: it signs nothing but vectors. */
function keyOf(number: number, name = ORIGIN): VectorKey {
  const seed = hash('sha256', `sallyport test vector key ${number}`, 'buffer');
  const key: KeyObject = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  return {
    verifierKey: formatVerifierKey(name, rawPublicKey(key)),
    signer: ed25519Signer(name, key),
  };
}

/** The log's key; and one of another holder with the same name and the same key id, which took 85,000 tries to find. */
export const LOG_KEY = keyOf(64_382);
export const COLLIDING_KEY = keyOf(84_933);
export const FOREIGN_KEY = keyOf(1);
/** The key that followed the log's, and one that somebody made who holds the log's after it was replaced. */
export const NEXT_KEY = keyOf(3);
export const EVIL_KEY = keyOf(4);
export const WITNESS_KEY = keyOf(2, 'witness.example');

const DAY = Date.UTC(2026, 0, 15, 12);

export function entryOf(
  index: number,
  says: { log?: string; index?: number; run?: string } = {},
): Buffer {
  const { log = ORIGIN, index: own = index, run = `run-${index}` } = says;
  const at = DAY + index * 1000;
  const draft = {
    id: `ent_${String(index).padStart(6, '0')}`,
    kind: 'audit.read' as const,
    at,
    actor: { system: 'broker' as const },
    run,
  };
  return serialiseEntry(writeEntry(draft), { log, index: own, committedAt: at, host: 'lab_host' });
}

/** The entry of a pruning. @param archives from and to which index each has entries, the last one included */
export function pruningOf(index: number, archives: readonly [number, number][]): Buffer {
  const at = DAY + index * 1000;
  const [first, before] = archives.at(-1)!;
  const draft = {
    id: `ent_${String(index).padStart(6, '0')}`,
    kind: 'log.pruned' as const,
    at,
    actor: { person: 'per_admin', lab: 'lab_host', roles: ['admin'] },
    ref: `exp_${before}`,
    data: {
      before,
      first,
      archives: archives.map(([from, to]) => ({
        first: from,
        before: to,
        export: `exp_${to}`,
        sha256: hash('sha256', `archive ${to}`),
      })),
    },
  };
  return serialiseEntry(writeEntry(draft), {
    log: ORIGIN,
    index,
    committedAt: at,
    host: 'lab_host',
  });
}

export interface VectorLog {
  entries: Buffer[];
  root: Buffer;
  checkpoint: string;
  tile: (level: number, n: number) => Buffer | undefined;
}

/** A history of keys, each followed by the next after so many of the entries. */
export function historyOf(first: VectorKey, ...steps: [VectorKey, number, Buffer[]?][]): string {
  let old = first;
  const notes = steps.map(([next, size, entries = entriesOf(size)]) => {
    const { root } = logOf(entries);
    const last = { origin: ORIGIN, size, root };
    const { verifierKey: oldKey } = old;
    const text = formatKeyStep({ last, oldKey, newKey: next.verifierKey, at: DAY });
    const note = signNote(text, [old.signer, next.signer]);
    old = next;
    return note;
  });
  return formatKeyHistory(first.verifierKey, notes);
}

export const entriesOf = (size: number): Buffer[] =>
  Array.from({ length: size }, (_, index) => entryOf(index));

export function logOf(entries: Buffer[], signers = [LOG_KEY.signer], origin = ORIGIN): VectorLog {
  const { rows, root } = appendLeaves(EMPTY_EDGE, entries.map(leafHash));
  const tiles = new Map(rows.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
  const body = formatCheckpoint({ origin, size: entries.length, root });
  return {
    entries,
    root,
    checkpoint: signNote(body, signers),
    tile: (level, n) => tiles.get(`${level}/${n}`),
  };
}

/** An entry bundle: each entry with its length in front of it. */
function entryBundle(entries: readonly Buffer[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(entry.length);
      return [length, entry];
    }),
  );
}

/** A mirror of the log: its tiles and entry bundles, and its checkpoint. */
export function mirrorOf(log: VectorLog, entries = log.entries): Files {
  const files: Files = { checkpoint: Buffer.from(log.checkpoint) };
  for (const { path, level, n } of tilesOf(log.entries.length)) {
    files[path] = log.tile(level, n)!;
    if (level > 0) continue;
    const width = Math.min(TILE_WIDTH, log.entries.length - n * TILE_WIDTH);
    const own = entries.slice(n * TILE_WIDTH, n * TILE_WIDTH + width);
    // What was added or taken away moves what follows it, and shows at the end.
    const isLast = (n + 1) * TILE_WIDTH >= log.entries.length;
    files[tilePath({ level: 'entries', n, width })] = entryBundle(
      isLast ? entries.slice(n * TILE_WIDTH) : own,
    );
  }
  return files;
}

export function receiptOf(log: VectorLog, index: number, claimed = index): string {
  const size = log.entries.length;
  const proof = inclusionProof(index, size, hashesFromTiles(size, log.tile));
  return formatTlogProof(claimed, proof, log.checkpoint);
}

export function bundleOf(
  log: VectorLog,
  { verifierKey }: VectorKey = LOG_KEY,
  keyHistory?: string,
): Promise<Buffer> {
  return buffer(
    evidenceBundle({
      checkpoint: log.checkpoint,
      verifierKey,
      keyHistory,
      tile: log.tile,
      entries: [log.entries],
    }),
  );
}

/** One bit of it flipped. */
export function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ mask, at);
  return copy;
}
