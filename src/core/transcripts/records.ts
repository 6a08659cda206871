/**
 * What stands in a file of transcripts, once it is opened: records one after the other, each a line of JSON, so many
 * bytes of a body as the line says, and a line feed. A body can come in several records, in order; the last one says so.
 */
import { z } from 'zod';

export type BodyPart = 'request' | 'response';

/** Bytes of a body in one record, at most. */
export const RECORD_BYTES = 32_768;

/** More than any head has that this version writes. */
const MOST_HEAD_BYTES = 1_024;

/** A version to come may write longer records. */
const MOST_RECORD_BYTES = 1 << 20;

const LINE_FEED = 0x0a;

const headSchema = z.object({
  v: z.literal(1),
  request: z.string().regex(/^[A-Za-z0-9_]{1,64}$/),
  part: z.enum(['request', 'response']),
  salt: z.base64(),
  bytes: z.int().min(0).max(MOST_RECORD_BYTES),
  last: z.boolean(),
});

/** What a record says of the bytes behind it. `salt`: of the commitments to this call's bodies, base64. */
export type RecordHead = z.infer<typeof headSchema>;

export interface BodyRecord {
  head: RecordHead;
  bytes: Uint8Array;
}

/** Writes a record. By hand: ids and base64 need no escapes. */
export function recordHead({ request, part, salt, bytes, last }: Omit<RecordHead, 'v'>): string {
  return `{"v":1,"request":"${request}","part":"${part}","salt":"${salt}","bytes":${bytes},"last":${last}}\n`;
}

/** What was read is not a file of transcripts. */
export class NotRecords extends Error {}

/** Reads records from bytes as they come, in bounded memory. */
export class RecordReader {
  #held: Uint8Array = new Uint8Array();

  /** @throws NotRecords */
  push(bytes: Uint8Array): BodyRecord[] {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const records: BodyRecord[] = [];
    let at = 0;
    for (;;) {
      const end = all.indexOf(LINE_FEED, at);
      if (end === -1) break;
      const head = readHead(all.subarray(at, end));
      const next = end + 1 + head.bytes;
      if (all.length <= next) break;
      if (all[next] !== LINE_FEED) throw new NotRecords('A record does not end where it says.');
      records.push({ head, bytes: all.subarray(end + 1, next) });
      at = next + 1;
    }
    this.#held = all.slice(at);
    if (this.#held.length > MOST_HEAD_BYTES && !this.#held.includes(LINE_FEED))
      throw new NotRecords('It has a line that is longer than any of a file of transcripts.');
    return records;
  }

  /** Bytes behind the last whole record: none, where the file is whole. */
  get left(): number {
    return this.#held.length;
  }
}

function readHead(line: Uint8Array): RecordHead {
  try {
    return headSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line)));
  } catch {
    throw new NotRecords(
      'It is no file of transcripts, or of a version that this one cannot read.',
    );
  }
}
