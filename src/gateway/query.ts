/** The query of a request: rebuilt from what is allowed. */
import { refuse } from '../core/denials.ts';

/** Parameters by name: the one value that each may have, or what its values look like. */
export type AllowedQuery = Record<string, string | RegExp>;

/**
 * Reads a query. Each parameter may be there once, with a value that is allowed.
 *
 * @throws RefusedError for any other
 */
export function readQuery(query: string, allowed: AllowedQuery): URLSearchParams {
  const read = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) {
    const expected = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
    const fits = typeof expected === 'string' ? expected === value : expected?.test(value);
    if (!fits || read.has(name))
      refuse('invalid_request', 'The query has a parameter that this path does not take.');
    read.set(name, value);
  }
  return read;
}

/** A query as it is sent on. */
export function passedQuery(query: string, allowed: AllowedQuery): string {
  if (query === '') return '';
  const passed = readQuery(query, allowed);
  return passed.size === 0 ? '' : `?${passed.toString()}`;
}
