/** Bodies that are hard to read. */

/** Lists in lists, as deep as is asked for: parsed, as it would come from a client. */
export function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth));
}
