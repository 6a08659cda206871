/** Receipts and statements as the broker answers them. */
import { z } from 'zod';

const ofWhom = { person: z.string(), run: z.string().nullable(), day: z.string() };

const checkpointSchema = z.looseObject({
  origin: z.string(),
  size: z.number(),
  root: z.string(),
  note: z.string(),
});

const statementSchema = z.looseObject({
  ...ofWhom,
  requests: z.number(),
  outcomes: z.number(),
  refusals: z.number(),
  answered: z.number(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  entries: z.number(),
  first: z.number(),
  last: z.number(),
  digest: z.string(),
});

const statedEntrySchema = z.looseObject({
  ...ofWhom,
  index: z.number(),
  kind: z.string(),
  request: z.string().nullable(),
  leaf: z.string(),
});

const pageOf = <T extends z.ZodType>(item: T) =>
  z.looseObject({
    checkpoint: checkpointSchema,
    items: z.array(item),
    next: z.string().nullable(),
    /** Entries in front of this index are in archives. An older broker says nothing of them. */
    archivedBefore: z.number().nullable().default(null),
  });

export const statementsSchema = pageOf(statementSchema);
export const statedEntriesSchema = pageOf(statedEntrySchema);
export const receiptsSchema = z.looseObject({
  items: z.array(z.looseObject({ request: z.string(), receipt: z.string() })),
});

export type StatementCheckpoint = z.infer<typeof checkpointSchema>;
export type Statement = z.infer<typeof statementSchema>;
export type StatedEntry = z.infer<typeof statedEntrySchema>;
