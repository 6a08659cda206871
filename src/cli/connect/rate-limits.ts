/** What an answer's headers say of the limits per minute, in either vendor's words. */
import { single } from './headers.ts';

interface RateLimit {
  limit: number;
  remaining: number;
}

export interface RateLimits {
  requests: RateLimit | undefined;
  tokens: RateLimit | undefined;
}

/** Undefined where the headers speak of no limit. */
export function rateLimitsOf(
  headers: Record<string, string | string[] | undefined>,
): RateLimits | undefined {
  const read = (what: 'requests' | 'tokens'): RateLimit | undefined => {
    const count = (openai: string, anthropic: string): number | undefined => {
      const text = single(headers, openai) ?? single(headers, anthropic) ?? '';
      return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    };
    const limit = count(`x-ratelimit-limit-${what}`, `anthropic-ratelimit-${what}-limit`);
    if (limit === undefined) return undefined;
    const left = count(`x-ratelimit-remaining-${what}`, `anthropic-ratelimit-${what}-remaining`);
    // The gateway leaves out a zero, which harnesses would take for a refusal.
    return { limit, remaining: left ?? 0 };
  };
  const limits = { requests: read('requests'), tokens: read('tokens') };
  return limits.requests || limits.tokens ? limits : undefined;
}
