/** Moments as they come from outside. */
import { z } from 'zod';

export const instantSchema = z.iso
  .datetime({ offset: true, error: 'must be a moment, as 2026-05-03T12:00:00Z' })
  .transform((text) => new Date(text).toISOString())
  .describe('A moment, RFC 3339');
