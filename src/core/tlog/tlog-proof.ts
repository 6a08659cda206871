/** The proof that one entry is in the log, with the checkpoint it leads to: C2SP tlog-proof. */
import { fromBase64, toBase64 } from './bytes.ts';
import { HASH_BYTES } from './tree.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';

/** What a proof says. It is for {@link verifyInclusion} and `openCheckpoint` to say whether it is right. */
export interface TlogProof<B extends Uint8Array = Uint8Array> {
  index: number;
  /** From the leaf up to the root. */
  proof: B[];
  /** The signed checkpoint. */
  checkpoint: string;
}

/** Writes a proof as it goes into a `.tlog-proof` file. */
export function formatTlogProof(index: number, proof: readonly Uint8Array[], note: string): string {
  const hashes = proof.map((hash) => `${toBase64(hash)}\n`);
  return `${HEADER}\nindex ${index}\n${hashes.join('')}\n${note}`;
}

/** Reads a proof; undefined for everything {@link formatTlogProof} would not write. */
export function parseTlogProof(text: string): TlogProof | undefined {
  const end = text.indexOf('\n\n');
  const [header, place = '', ...lines] = text.slice(0, end).split('\n');
  const index = Number(/^index (0|[1-9]\d{0,15})$/.exec(place)?.[1] ?? Number.NaN);
  const proof = lines.flatMap((line) => {
    const hash = fromBase64(line);
    return hash?.length === HASH_BYTES ? [hash] : [];
  });
  const sound =
    end !== -1 && header === HEADER && Number.isSafeInteger(index) && proof.length === lines.length;
  return sound ? { index, proof, checkpoint: text.slice(end + 2) } : undefined;
}
