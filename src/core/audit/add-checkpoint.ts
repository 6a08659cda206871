/** What a log asks a witness: the body of C2SP tlog-witness' `add-checkpoint`. */
import { HASH_BYTES } from './merkle.ts';

/** More hashes no consistency proof has (C2SP tlog-witness). */
const MOST_PROOF_LINES = 63;

/** Bytes of the largest body: 63 hashes, and a checkpoint with a hundred signatures. */
export const MOST_ADD_CHECKPOINT_BYTES = 64 * 1024;

export interface AddCheckpoint {
  /** Size of the checkpoint that the log believes the witness knows. */
  old: number;
  /** Consistency proof from there to the checkpoint. */
  proof: Buffer[];
  /** The signed checkpoint. */
  note: string;
}

export function formatAddCheckpoint({ old, proof, note }: AddCheckpoint): string {
  const hashes = proof.map((hash) => `${hash.toString('base64')}\n`);
  return `old ${old}\n${hashes.join('')}\n${note}`;
}

/** Reads a body; undefined for everything {@link formatAddCheckpoint} would not write. */
export function parseAddCheckpoint(body: string): AddCheckpoint | undefined {
  const end = body.indexOf('\n\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = body.slice(0, end).split('\n');
  const [, decimal = ''] = /^old (0|[1-9]\d{0,15})$/.exec(first) ?? [];
  if (decimal === '' || !Number.isSafeInteger(Number(decimal))) return undefined;
  if (lines.length > MOST_PROOF_LINES) return undefined;
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  const sound = proof.every(
    (hash, i) => hash.length === HASH_BYTES && hash.toString('base64') === lines[i],
  );
  return sound ? { old: Number(decimal), proof, note: body.slice(end + 2) } : undefined;
}
