/** What is stored of transcripts, opened and held against the log. */
import Database from 'better-sqlite3';
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newIdentity, readIdentities } from '../../src/audit/sealing/age-identity.ts';
import { AgeOpener } from '../../src/audit/sealing/age-open.ts';
import { RecordReader, type BodyPart } from '../../src/core/transcripts/records.ts';
import type { TranscriptFacts } from '../../src/core/transcripts/facts.ts';
import { framesAfter } from '../../src/store/journal.ts';
import { TranscriptReader } from '../../src/store/transcripts/reader.ts';
import type { LogEntry, RunningBroker } from './running-broker.ts';

/** Somebody whom transcripts are sealed to. */
export const HOLDER = newIdentity();

/** Somebody else. */
export const OTHER_HOLDER = newIdentity();

/** What a grant says that has its transcripts sealed to {@link HOLDER}. */
export const SEALED = {
  transcripts: 'sealed' as const,
  transcriptRecipients: [{ recipient: HOLDER.recipient, holder: 'The auditor of the partner' }],
  transcriptRetentionDays: 30,
};

/** The same, for `full`. */
export const FULL = { transcripts: 'full' as const, transcriptRetentionDays: 30 };

export const transcriptsPath = (dataDir: string): string => join(dataDir, 'transcripts.db');

/** Resolves when the database has what the journal of transcripts held. */
function untilCarriedOver(dataDir: string): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const database = new Database(transcriptsPath(dataDir), { readonly: true });
  const takenOver = database.prepare('SELECT generation FROM journal').pluck();
  const isBehind = (): boolean => {
    const before = takenOver.get() as number;
    const frames = framesAfter(readFileSync(join(dataDir, 'transcripts.journal')), BigInt(before));
    // Carried over meanwhile: what was read may be of another generation.
    return frames.length > 0 || takenOver.get() !== before;
  };
  for (const until = Date.now() + 3_000; isBehind() && Date.now() < until;)
    Atomics.wait(sleeper, 0, 0, 5);
  database.close();
}

/** The file that a body is in, as it is stored. */
export function storedFile(dataDir: string, request: string, part: BodyPart): Buffer | undefined {
  untilCarriedOver(dataDir);
  const reader = new TranscriptReader(transcriptsPath(dataDir));
  try {
    const file = reader.fileOf(request, part);
    return file && Buffer.concat([...reader.chunksOf(file.id)].flat());
  } finally {
    reader.close();
  }
}

export interface OpenedBody {
  body: Buffer;
  salt: string;
}

/** Finds a body in a file. */
function bodyIn(plain: Uint8Array, request: string, part: BodyPart): OpenedBody | undefined {
  const records = new RecordReader()
    .push(plain)
    .filter(({ head }) => head.request === request && head.part === part);
  const [first] = records;
  if (!first) return undefined;
  const body = Buffer.concat(records.map(({ bytes }) => bytes));
  return { body, salt: first.head.salt };
}

/** Opens an age file with an identity. */
export function openSealed(file: Uint8Array, identity = HOLDER.identity): Buffer {
  const opener = new AgeOpener(readIdentities(identity));
  const opened = opener.push(file);
  return Buffer.concat([...opened, opener.end()]);
}

/** A body of a call, from what is stored: sealed or not. */
export function keptBody(dataDir: string, request: string, part: BodyPart): OpenedBody | undefined {
  const file = storedFile(dataDir, request, part);
  if (!file) return undefined;
  const isSealed = file.subarray(0, 7).toString() === 'age-enc';
  return bodyIn(isSealed ? openSealed(file) : file, request, part);
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

export const commitment = ({ body, salt }: OpenedBody): string =>
  createHmac('sha256', Buffer.from(salt, 'base64')).update(body).digest('base64');

export const factsIn = (outcome: LogEntry | undefined): TranscriptFacts =>
  outcome?.data?.['transcript'] as TranscriptFacts;

/** The two entries of a grant's last call. */
export function lastCall(
  running: RunningBroker,
  grant: string,
): { request: string; intent: LogEntry; outcome: LogEntry } {
  const intent = running.entries({ kind: 'request.intent', grant }).at(-1);
  const outcome = running.entries({ kind: 'request.outcome', ref: intent?.ref as string }).at(-1);
  if (!intent?.ref || !outcome) throw new Error('There is no whole call.');
  return { request: intent.ref, intent, outcome };
}

/** The database of transcripts, with all that is stored. */
export function openDatabase(dataDir: string): Database.Database {
  untilCarriedOver(dataDir);
  return new Database(transcriptsPath(dataDir));
}
