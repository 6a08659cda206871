/** A file of which everything is there, and its form in the journal. */
import { createHash, hash } from 'node:crypto';
import type { Keeping } from '../../core/transcripts/keeping.ts';
import type { JournalEntry } from '../journal.ts';
import type { BodyName, FileStream } from './messages.ts';

export interface WholeFile {
  keeping: Pick<Keeping, 'grantId' | 'version' | 'mode' | 'recipientIds' | 'keepMs'>;
  /** Epoch milliseconds. */
  at: number;
  bodies: BodyName[];
  chunks: Buffer[];
  digest: Buffer;
  length: number;
}

/** Makes a file of all its bytes. */
export function wholeFile(
  stream: FileStream,
  bytes: Uint8Array,
  about: Pick<WholeFile, 'keeping' | 'at' | 'bodies'>,
): WholeFile {
  const chunks = [...stream.update(bytes), ...stream.final()];
  const [first] = chunks;
  const digest =
    first && chunks.length === 1
      ? hash('sha256', first, 'buffer')
      : chunks.reduce((sum, chunk) => sum.update(chunk), createHash('sha256')).digest();
  return { ...about, chunks, digest, length: chunks.reduce((sum, { length }) => sum + length, 0) };
}

const LENGTH_BYTES = 4;

/** What the journal keeps of a file: lengths and texts, as JSON behind their length, and the bytes. */
export function toJournal({ keeping, at, bodies, chunks, digest }: WholeFile): JournalEntry {
  const { grantId, version, mode, recipientIds, keepMs } = keeping;
  const head = Buffer.from(
    JSON.stringify({
      keeping: { grantId, version, mode, recipientIds, keepMs },
      at,
      bodies,
      lengths: chunks.map(({ length }) => length),
      digest: digest.toString('hex'),
    }),
  );
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(head.length);
  return { bytes: Buffer.concat([length, head, ...chunks]), salt: undefined };
}

export function fromJournal({ bytes }: JournalEntry): WholeFile {
  let from = LENGTH_BYTES + bytes.readUInt32BE(0);
  const head = JSON.parse(bytes.subarray(LENGTH_BYTES, from).toString('utf8')) as Pick<
    WholeFile,
    'keeping' | 'at' | 'bodies'
  > & { lengths: number[]; digest: string };
  const { keeping, at, bodies, lengths } = head;
  const chunks = lengths.map((length) => bytes.subarray(from, (from += length)));
  const length = lengths.reduce((sum, one) => sum + one, 0);
  return { keeping, at, bodies, chunks, digest: Buffer.from(head.digest, 'hex'), length };
}
