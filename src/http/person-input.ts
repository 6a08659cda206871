/** What is said of a person who is registered or invited. */
import { z } from 'zod';
import { attributeNameSchema, publicKeySchema } from '../core/people.ts';
import { named } from './schemas.ts';

export const attributesSchema = z
  .record(attributeNameSchema, z.string().max(500))
  .refine((attributes) => Object.keys(attributes).length <= 32, 'takes at most 32 attributes')
  .describe('Facts about the person, such as employer or date of training');

export const publicKey = named('PublicKey', publicKeySchema);
