/** Header and payload of a DPoP proof: JSON in base64url. */
import type { z } from 'zod';
import { refuse } from '../core/denials.ts';

/**
 * Refuses a proof.
 *
 * @param rule the rule that it breaks, in a sentence; never what was sent
 */
export function refuseProof(rule: string): never {
  return refuse('invalid_dpop_proof', rule);
}

/**
 * Parses a part of a proof.
 *
 * @param schema says of each member, in its message, the rule that a bad one breaks
 * @throws RefusedError `invalid_dpop_proof`, with the first broken rule
 */
export function parseProofPart<T>(part: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(decode(part));
  if (parsed.success) return parsed.data;
  return refuseProof(parsed.error.issues[0]?.message ?? 'The DPoP proof is not well formed.');
}

function decode(part: string): unknown {
  try {
    const bytes = Buffer.from(part, 'base64url');
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError)
      return refuseProof('Header and payload of a DPoP proof are JSON in UTF-8.');
    throw error;
  }
}
