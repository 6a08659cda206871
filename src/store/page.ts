/** What the reads of lists have in common. */
import type { SQL } from 'drizzle-orm';

/** A part of a list: at most `limit` things whose ids come after `after`. */
export interface PageRequest {
  after?: string | undefined;
  limit: number;
}

/** A condition on a value where there is one; none otherwise. */
export function maybe<T>(
  value: T | undefined,
  condition: (value: T) => SQL | undefined,
): SQL | undefined {
  return value === undefined ? undefined : condition(value);
}
