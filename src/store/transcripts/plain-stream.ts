/** Files of bodies that are kept in full: as they are, in chunks. */
import type { FileStream } from './messages.ts';

/** A chunk has so many bytes at most. */
const CHUNK_BYTES = 65_536;

export class PlainStream implements FileStream {
  update(bytes: Uint8Array): Buffer[] {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
      chunks.push(Buffer.from(bytes.subarray(at, at + CHUNK_BYTES)));
    return chunks;
  }

  final(): Buffer[] {
    return [];
  }
}
