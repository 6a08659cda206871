/** How long an HTTP answer may be kept (RFC 9111, section 4.2), for a private cache. */

type Headers = Record<string, string | string[] | undefined>;

/**
 * What the answer says of its own lifetime, its age taken off.
 *
 * @param now epoch milliseconds
 * @returns milliseconds, never negative; 0 where it is not to be kept or says something unreadable;
 *   undefined where it says nothing
 */
export function freshnessOf(headers: Headers, now: number): number | undefined {
  const lifetime = lifetimeOf(headers, now);
  if (lifetime === undefined) return undefined;
  const age = secondsOf(textOf(headers, 'age')) ?? 0;
  return Math.max(0, lifetime - age * 1000);
}

function lifetimeOf(headers: Headers, now: number): number | undefined {
  const directives = (textOf(headers, 'cache-control') ?? '')
    .split(',')
    .map((directive) => directive.trim().toLowerCase());
  if (directives.some((directive) => /^no-(store|cache)\b/.test(directive))) return 0;
  const ages = directives.flatMap((directive) => {
    const [, value] = /^max-age\s*=\s*"?([^"]*)"?$/.exec(directive) ?? [];
    return value === undefined ? [] : [secondsOf(value) ?? 0];
  });
  // Of several, the most restrictive.
  if (ages.length > 0) return Math.min(...ages) * 1000;
  const expires = textOf(headers, 'expires');
  if (expires === undefined) return undefined;
  const date = Date.parse(textOf(headers, 'date') ?? '');
  const until = Date.parse(expires) - (Number.isNaN(date) ? now : date);
  // "0" and other texts that are no date mean: in the past.
  return Number.isNaN(until) ? 0 : until;
}

function textOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function secondsOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text.trim()) ? Number(text) : undefined;
}
