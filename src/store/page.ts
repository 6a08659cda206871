/** What the reads of lists have in common. */
import type { SQL } from 'drizzle-orm';

/** A part of a list: at most `limit` things whose ids come after `after`. */
export interface PageRequest {
  after?: string | undefined;
  limit: number;
}

/** What a bounded search of a list has found. */
export interface Searched<T> {
  found: T[];
  /** The last id that was looked at, where there is more to look at; null: that was all. */
  searchedTo: string | null;
}

/** A condition on a value where there is one; none otherwise. */
export function maybe<T>(
  value: T | undefined,
  condition: (value: T) => SQL | undefined,
): SQL | undefined {
  return value === undefined ? undefined : condition(value);
}
