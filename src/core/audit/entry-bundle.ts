/** Entry bundles of C2SP tlog-tiles. */
import { MAX_ENTRY_BYTES } from './entry.ts';

/**
 * Writes a bundle: for each entry its length, 16 bits big-endian, and its bytes.
 *
 * @throws RangeError for an entry that is longer than 65,535 bytes
 */
export function entryBundle(entries: readonly Uint8Array[]): Buffer {
  const pieces = entries.flatMap((entry) => {
    if (entry.length > MAX_ENTRY_BYTES)
      throw new RangeError(`An entry of ${entry.length} bytes fits into no bundle.`);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(entry.length);
    return [length, entry];
  });
  return Buffer.concat(pieces);
}
