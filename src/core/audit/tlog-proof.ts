/** The proof that one entry is in the log, with the checkpoint it leads to: C2SP tlog-proof. */
import { HASH_BYTES } from './merkle.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';

/** What a proof says. It is for {@link verifyInclusion} and `openCheckpoint` to say whether it is right. */
export interface TlogProof {
  index: number;
  /** From the leaf up to the root. */
  proof: Buffer[];
  /** The signed checkpoint. */
  checkpoint: string;
}

/** Writes a proof as it goes into a `.tlog-proof` file. */
export function formatTlogProof(index: number, proof: readonly Uint8Array[], note: string): string {
  const hashes = proof.map((hash) => `${Buffer.from(hash).toString('base64')}\n`);
  return `${HEADER}\nindex ${index}\n${hashes.join('')}\n${note}`;
}

/** Reads a proof; undefined for everything {@link formatTlogProof} would not write. */
export function parseTlogProof(text: string): TlogProof | undefined {
  const end = text.indexOf('\n\n');
  const [header, place = '', ...lines] = text.slice(0, end).split('\n');
  const index = Number(/^index (0|[1-9]\d{0,15})$/.exec(place)?.[1] ?? Number.NaN);
  const proof = lines.map((line) => Buffer.from(line, 'base64'));
  const sound =
    end !== -1 &&
    header === HEADER &&
    Number.isSafeInteger(index) &&
    proof.every((hash, i) => hash.length === HASH_BYTES && hash.toString('base64') === lines[i]);
  return sound ? { index, proof, checkpoint: text.slice(end + 2) } : undefined;
}
