/** Moments as they come from outside. */
import { z } from 'zod';

export const instantSchema = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text).toISOString())
  .describe('A moment, RFC 3339');
