/**
 * How bad a finding is, as a vector of five judgements, and the band and level that it speaks for. The weights are ours: what
 * is exploited, broad, capable, easy and easy to find weighs more, and nothing that is only theoretical is critical.
 */
import { z } from 'zod';

const grade = z.enum(['low', 'medium', 'high']);

export const severitySchema = z.strictObject({
  exploitation: z.enum(['theoretical', 'exploited']).describe('Whether it has been used for harm'),
  breadth: grade.describe('How many topics, people or systems it reaches'),
  capability: grade.describe('What somebody gains by it that they would not have otherwise'),
  ease: grade.describe('How easy it is to do'),
  discoverability: grade.describe('How easy it is to find'),
});

export type Severity = z.infer<typeof severitySchema>;

export const BANDS = ['low', 'moderate', 'high', 'critical'] as const;
export type Band = (typeof BANDS)[number];

const WEIGHT = { low: 0, medium: 1, high: 2 } as const;

/** The band that a vector computes to. */
export function bandOf(severity: Severity): Band {
  const { exploitation, breadth, capability, ease, discoverability } = severity;
  // What is gained counts twice: a broad, easy finding that gives nobody anything is a nuisance.
  const sum = WEIGHT[breadth] + 2 * WEIGHT[capability] + WEIGHT[ease] + WEIGHT[discoverability];
  const exploited = exploitation === 'exploited';
  if (sum >= 8) return exploited ? 'critical' : 'high';
  if (sum >= 5) return exploited ? 'high' : 'moderate';
  if (sum >= 3) return 'moderate';
  return exploited ? 'moderate' : 'low';
}

const LEVEL_OF: Record<Band, number> = { low: 1, moderate: 2, high: 3, critical: 4 };

/** The level that a vector speaks for. */
export const suggestedLevel = (severity: Severity): number => LEVEL_OF[bandOf(severity)];
