/** Duties as the API answers them, as far as they are shown here. */
import { z } from 'zod';

export const dutySchema = z.looseObject({
  id: z.string(),
  grant: z.string(),
  person: z.string().nullish(),
  kind: z.string(),
  text: z.string(),
  cause: z.string(),
  state: z.string(),
  overdue: z.boolean(),
  begunAt: z.string(),
  dueAt: z.string(),
  reportedBy: z.string().nullish(),
  reportedAt: z.string().nullish(),
  statement: z.string().nullish(),
  documentDigest: z.string().nullish(),
  confirmedBy: z.string().nullish(),
  confirmedAt: z.string().nullish(),
  returnGrounds: z.string().nullish(),
});
export type Duty = z.infer<typeof dutySchema>;
