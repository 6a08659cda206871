/** What the broker answers about transcripts, as far as the command line looks at it. */
import { z } from 'zod';

export const transcriptSchema = z.looseObject({
  request: z.string(),
  mode: z.enum(['sealed', 'full']),
  recipients: z.array(z.looseObject({ id: z.string(), holder: z.string().nullable() })),
  bodies: z.array(
    z.looseObject({
      part: z.enum(['request', 'response']),
      sha256: z.string(),
      bytes: z.number(),
      until: z.string(),
      standing: z.enum(['stored', 'destroyed', 'missing', 'changed']),
      cut: z.boolean(),
      json: z.unknown().optional(),
      text: z.string().optional(),
      base64: z.string().optional(),
    }),
  ),
  lost: z.array(z.string()),
  quoted: z.enum(['masked', 'withheld']).nullable(),
});

export type Transcript = z.infer<typeof transcriptSchema>;

export const checkedSchema = z.looseObject({
  sound: z.number(),
  destroyed: z.number(),
  problems: z.array(
    z.looseObject({
      index: z.number(),
      requestId: z.string(),
      part: z.string(),
      problem: z.enum(['missing', 'changed']),
    }),
  ),
  next: z.number().nullable(),
});

export const destroyedSchema = z.looseObject({
  id: z.string(),
  files: z.number(),
  bodies: z.number(),
  bytes: z.number(),
  from: z.string().nullable(),
  until: z.string().nullable(),
  held: z.number(),
  open: z.number(),
});
