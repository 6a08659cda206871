/** The demo's grant, and how a file overrides parts of it. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import { grantSpecSchema } from '../core/grants.ts';

export type GrantInput = z.input<typeof grantSpecSchema>;

const WEEK_MS = 7 * 86_400_000;

const TERMS = `Terms of the demo grant

1. Access is for the purposes named in the grant, by the people named in it, and for nothing else.
2. What the model says with safeguards lifted is not published before both labs have agreed.
3. Findings are reported to the host lab within five working days.
4. Every request is recorded. Either lab can verify the record.
`;

/** A grant over the demo endpoint that lasts a week. */
export function demoGrant(parts: {
  lab: string;
  people: string[];
  models: string[];
  operations: GrantInput['operations'];
  now: number;
}): GrantInput {
  return {
    title: 'Mutual safety test (demo)',
    lab: parts.lab,
    endpoints: [{ endpoint: 'demo', models: parts.models }],
    operations: parts.operations,
    features: { streaming: true, systemPrompt: true, tools: true, n: 4, maxOutputTokens: 4096 },
    purposes: {
      allowed: ['hallucination', 'sycophancy', 'instruction_hierarchy'],
      excluded: ['misuse_uplift'],
    },
    people: parts.people.map((person) => ({ person })),
    limits: { requestsPerMinute: 6_000, tokensPerMinute: 30_000_000, concurrent: 256 },
    budgets: { requests: 100_000, tokens: 500_000_000, spendUsd: 1_000 },
    window: {
      from: new Date(parts.now - 60_000).toISOString(),
      until: new Date(parts.now + WEEK_MS).toISOString(),
    },
    tokenLifetimeSeconds: 3600,
    terms: { version: '1', text: TERMS },
  };
}

/**
 * Reads a YAML or JSON file whose fields take the place of the demo grant's: objects are merged field by
 * field, lists and everything else replaced.
 *
 * @throws with what is wrong with the file
 */
export function withOverrides(grant: GrantInput, file: string | undefined): GrantInput {
  if (file === undefined) return grant;
  let overrides: unknown;
  try {
    overrides = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(
      `The grant file ${file} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  const merged = merge(grant, overrides ?? {});
  const parsed = grantSpecSchema.safeParse(merged);
  if (parsed.success) return merged as GrantInput;
  const [issue] = parsed.error.issues;
  const extra = issue?.code === 'unrecognized_keys' ? ` (${issue.keys.join(', ')})` : '';
  throw new Error(
    `The grant file ${file} is wrong at "${issue?.path.join('.')}": ${issue?.message}${extra}.`,
  );
}

function merge(base: unknown, over: unknown): unknown {
  if (!isPlainObject(base) || !isPlainObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over))
    merged[name] = name in base ? merge(base[name], value) : value;
  return merged;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
