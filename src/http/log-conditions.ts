/** What entries can be asked for by: the same for reading them and for exporting them. */
import { z } from 'zod';
import { idSchema } from '../core/ids.ts';
import type { EntryConditions } from '../store/readers.ts';

export const conditionsShape = {
  ref: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be an id')
    .optional()
    .describe('Entries about one request, grant, order or token'),
  kind: z
    .string()
    .regex(/^[a-z_]{1,32}\.[a-z_]{1,32}$/, 'must be a kind of entry, such as order.issued')
    .optional(),
  grant: idSchema('grt').optional(),
};

const conditions = z.object(conditionsShape);

export function conditionsOf({ grant, ...about }: z.output<typeof conditions>): EntryConditions {
  return { ...about, grantId: grant };
}
