/** What the outcome of a call says of its transcript. */
import { z } from 'zod';
import { jsonMembers } from '../audit/entry.ts';

const fileSchema = z.object({
  sha256: z.string().describe('SHA-256 of the bytes that are stored, hex'),
  bytes: z.int().describe('Their number'),
  until: z.iso.datetime().describe('When they are destroyed at the latest'),
  cut: z.literal(true).optional().describe('The broker died while it was written'),
});

export const transcriptFactsSchema = z.object({
  mode: z.enum(['sealed', 'full']),
  recipients: z.array(z.string()).describe('Ids of the recipients that it is sealed to'),
  request: fileSchema.optional(),
  response: fileSchema.optional(),
  lost: z
    .array(z.enum(['request', 'response']))
    .optional()
    .describe('What could not be stored: the call ended with an error'),
});

export type TranscriptFacts = z.infer<typeof transcriptFactsSchema>;

/** A file of a transcript, in the words of entries. @param until epoch milliseconds */
export const fileFacts = (
  { sha256, bytes, until }: { sha256: string; bytes: number; until: number },
  isCut = false,
): NonNullable<TranscriptFacts['request']> => ({
  sha256,
  bytes,
  until: new Date(until).toISOString(),
  ...(isCut ? { cut: true } : {}),
});

/** As a member of the data of an entry. */
export const transcriptMember = (facts: TranscriptFacts): string =>
  jsonMembers({ transcript: facts });
