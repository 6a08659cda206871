/** What the broker says of an export. */
import { z } from 'zod';

export const exportSchema = z.looseObject({
  from: z.number(),
  to: z.number(),
  resumableUntil: z.string(),
  running: z.looseObject({ entries: z.number(), bytes: z.number() }).nullable(),
  completed: z
    .looseObject({ entries: z.number(), bytes: z.number(), sha256: z.string() })
    .nullable(),
});

export type ShownExport = z.infer<typeof exportSchema>;
