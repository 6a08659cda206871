/** What the outcome of a call says of its transcript. */
import { z } from 'zod';
import type { KeptMode } from './keeping.ts';
import type { BodyPart } from './records.ts';

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
  quoted: z
    .enum(['masked', 'withheld'])
    .optional()
    .describe(
      'The answer quoted a credential of the host. masked: asterisks are in its place, in what is kept and committed to; withheld: nothing of the answer is kept',
    ),
});

export type TranscriptFacts = z.infer<typeof transcriptFactsSchema>;

/** What became of a body: the file that it is in, or that it could not be stored. */
export interface BodyFacts {
  part: BodyPart;
  /** `until`: epoch milliseconds. */
  file: { sha256: string; bytes: number; until: number; isCut?: boolean } | 'lost';
}

/**
 * As a member of the data of an entry, for {@link transcriptFactsSchema}. By hand, as what else requests say: none of it
 * needs escapes.
 *
 * @param recipientIds a JSON array
 */
export function transcriptMember(
  mode: KeptMode,
  recipientIds: string,
  bodies: readonly BodyFacts[],
  quoted?: TranscriptFacts['quoted'],
): string {
  let members = `"mode":"${mode}","recipients":${recipientIds}`;
  const lost: BodyPart[] = [];
  for (const { part, file } of bodies) {
    if (file === 'lost') lost.push(part);
    else {
      const until = new Date(file.until).toISOString();
      const cut = file.isCut ? ',"cut":true' : '';
      members += `,"${part}":{"sha256":"${file.sha256}","bytes":${file.bytes},"until":"${until}"${cut}}`;
    }
  }
  if (lost.length > 0) members += `,"lost":${JSON.stringify(lost)}`;
  if (quoted) members += `,"quoted":"${quoted}"`;
  return `"transcript":{${members}}`;
}
