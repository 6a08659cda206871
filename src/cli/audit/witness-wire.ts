/** What the broker answers about witnesses, split views and its log's keys. */
import { z } from 'zod';

export const witnessesSchema = z.object({
  witnesses: z.array(
    z.object({
      name: z.string(),
      verifierKey: z.string(),
      cosignedSize: z.number().nullable(),
      cosignedAt: z.string().nullable(),
      failure: z.string().nullable(),
      problem: z.string().nullable(),
      failedAt: z.string().nullable(),
    }),
  ),
  policy: z.string().nullable(),
  witnessedSize: z.number().nullable(),
});

export const splitViewSchema = z.object({
  id: z.string(),
  origin: z.string(),
  kind: z.string(),
  source: z.string(),
  foundAt: z.string(),
  older: z.string(),
  newer: z.string(),
  past: z.object({ root: z.string(), proof: z.array(z.string()) }).nullable(),
});
export type SplitViewWire = z.infer<typeof splitViewSchema>;

export const comparedSchema = z.object({
  verdict: z.string(),
  against: z.number().nullable(),
  splitView: z.string().nullable(),
});

export const rotatedLogKeySchema = z.object({
  oldKey: z.string(),
  newKey: z.string(),
  size: z.number(),
  oldKeySignsUntil: z.string(),
});
