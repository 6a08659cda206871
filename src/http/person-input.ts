/** What is said of a person who is registered or invited. */
import { z } from 'zod';
import { MAX_ATTRIBUTES, attributeNameSchema, publicKeySchema } from '../core/people.ts';
import { instantSchema } from '../core/instants.ts';
import type { AttributeChanges } from '../core/people.ts';
import { named } from './schemas.ts';

export const attributesSchema = z
  .record(attributeNameSchema, z.string().max(500))
  .refine(
    (attributes) => Object.keys(attributes).length <= MAX_ATTRIBUTES,
    `takes at most ${MAX_ATTRIBUTES} attributes`,
  )
  .describe('Facts about the person, such as employer or date of training');

export const publicKey = named('PublicKey', publicKeySchema);

/** What is to become of attributes. */
export const attributeChangesSchema = z
  .record(
    attributeNameSchema,
    z
      .strictObject({
        value: z.string().max(500),
        until: instantSchema.optional().describe('When it ends. Default: it does not'),
      })
      .nullable(),
  )
  .refine((changes) => Object.keys(changes).length > 0, 'must name at least one attribute')
  .describe('By name; null: it is taken away');

/** The changes with moments in epoch milliseconds. */
export const changesOf = (changes: z.output<typeof attributeChangesSchema>): AttributeChanges =>
  Object.fromEntries(
    Object.entries(changes).map(([name, change]) => [
      name,
      change && {
        value: change.value,
        until: change.until === undefined ? null : Date.parse(change.until),
      },
    ]),
  );
