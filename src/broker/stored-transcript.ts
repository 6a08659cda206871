/** What is stored of a call's bodies, held against what its outcome says. */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { RecordReader, type BodyPart } from '../core/transcripts/records.ts';
import { transcriptFactsSchema, type TranscriptFacts } from '../core/transcripts/facts.ts';
import type { Broker } from './broker.ts';
import type { StoredEntry } from '../store/entry-index.ts';
import type { Readers } from '../store/readers.ts';
import type { TranscriptDestruction } from '../store/transcript-holds.ts';
import type { TranscriptFile, TranscriptReader } from '../store/transcripts/reader.ts';

export const BODY_PARTS: readonly BodyPart[] = ['request', 'response'];

/** What an outcome says of a transcript; undefined: nothing was kept. */
export function factsOf(outcome: StoredEntry): TranscriptFacts | undefined {
  const entry = JSON.parse(outcome.bytes.toString('utf8')) as { data?: { transcript?: unknown } };
  return transcriptFactsSchema.safeParse(entry.data?.transcript).data;
}

/** `missing`: it is not there, and no destruction on record says why; `changed`: it is not what was stored. */
export type Standing = 'stored' | 'destroyed' | 'missing' | 'changed';

/** Of an outcome, what its transcript goes by. */
export interface Outcome {
  ref: string;
  grant: string;
  grantVersion: number;
}

export const outcomeIn = ({ bytes }: StoredEntry): Outcome =>
  JSON.parse(bytes.toString('utf8')) as Outcome;

/** The file of a body, as far as it is what the outcome says. */
export async function standingOf(
  { transcriptReader: reader, readers }: Pick<Broker, 'transcriptReader' | 'readers'>,
  outcome: Outcome,
  part: BodyPart,
  said: { sha256: string; bytes: number; until: string },
): Promise<{ standing: Standing; file?: TranscriptFile }> {
  const file = reader.fileOf(outcome.ref, part);
  if (!file)
    return { standing: wasDestroyed(readers, outcome, said.until) ? 'destroyed' : 'missing' };
  const sum = createHash('sha256');
  let bytes = 0;
  // Between two reads others have their turn: a file can be long.
  for (const chunks of reader.chunksOf(file.id)) {
    for (const chunk of chunks) {
      sum.update(chunk);
      bytes += chunk.length;
    }
    await turn();
  }
  const isSame = bytes === said.bytes && sum.digest('hex') === said.sha256;
  return { standing: isSame ? 'stored' : 'changed', file };
}

/** A file, as it is stored, piece by piece. */
export async function* piecesOf(reader: TranscriptReader, file: number): AsyncGenerator<Buffer> {
  for (const chunks of reader.chunksOf(file)) {
    yield Buffer.concat(chunks);
    await turn();
  }
}

/**
 * A body in a file that is not sealed.
 *
 * @returns undefined where it has more bytes than that
 */
export async function readBody(
  reader: TranscriptReader,
  file: number,
  { requestId, part, most }: { requestId: string; part: BodyPart; most: number },
): Promise<Buffer | undefined> {
  const records = new RecordReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of piecesOf(reader, file))
    for (const { head, bytes } of records.push(piece)) {
      if (head.request !== requestId || head.part !== part) continue;
      length += bytes.length;
      if (length > most) return undefined;
      pieces.push(bytes);
    }
  return Buffer.concat(pieces);
}

/** Whether a destruction on record explains that a body is not there. */
function wasDestroyed(
  readers: Readers,
  { ref, grant, grantVersion }: Outcome,
  until: string,
): boolean {
  const due = Date.parse(until);
  // By the version that it was written under. The entry's own time can be that of the next start.
  const written = due - (readers.transcriptRetentionMs(grant, grantVersion) ?? 0);
  const explains = (one: TranscriptDestruction): boolean =>
    !one.held.includes(ref) && ((one.writtenUntil ?? -1) >= written || (one.dueUntil ?? -1) >= due);
  return readers.destructionsOf(grant).some(explains);
}
