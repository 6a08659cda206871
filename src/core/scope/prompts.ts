/** Inputs that are text or tokens: one, or a list of them. */
import { MalformedBody } from './inspection.ts';

/**
 * How many inputs a field holds: `"text"`, `["text", …]`, `[token, …]` or `[[token, …], …]`.
 *
 * @throws MalformedBody
 */
export function countInputs(value: unknown, field: string): number {
  if (typeof value === 'string') return 1;
  if (Array.isArray(value) && value.length > 0) {
    if (areTokens(value)) return 1;
    if (value.every((item) => typeof item === 'string' || (Array.isArray(item) && areTokens(item))))
      return value.length;
  }
  throw new MalformedBody(
    field,
    `"${field}" must be a text, a list of texts, a list of tokens, or a list of lists of tokens.`,
  );
}

function areTokens(items: unknown[]): boolean {
  return items.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}
