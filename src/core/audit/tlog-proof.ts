/** Proofs of one entry, with Node's buffers. What each function does is said in tlog/tlog-proof.ts. */
import * as neutral from '../tlog/tlog-proof.ts';

export { formatTlogProof } from '../tlog/tlog-proof.ts';

export type TlogProof = neutral.TlogProof<Buffer>;

/** See `parseTlogProof` of tlog/tlog-proof.ts. */
export function parseTlogProof(text: string): TlogProof | undefined {
  const parsed = neutral.parseTlogProof(text);
  return parsed && { ...parsed, proof: parsed.proof.map((hash) => Buffer.from(hash)) };
}
