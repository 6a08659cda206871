/** What all operations of the OpenAI dialect share. */
import { errorObject } from '../error-body.ts';
import type { Dialect, LimitHeaders } from './dialect.ts';

export const openai: Dialect = {
  name: 'openai',
  betaHeader: 'openai-beta',
  headers: () => ({}),
  authorise: (credential) => ({ authorization: `Bearer ${credential}` }),
  errorEvent: (why, requestId) =>
    `data: ${JSON.stringify({ error: errorObject(why), request_id: requestId })}\n\n`,
  rateLimitHeaders,
};

/** `remaining` is left out when it is zero: a harness takes a zero on a 200 for "rate limited" and sends again. */
function rateLimitHeaders({ requests, tokens }: LimitHeaders): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, state] of [
    ['requests', requests],
    ['tokens', tokens],
  ] as const) {
    if (!state) continue;
    headers[`x-ratelimit-limit-${name}`] = String(state.limit);
    if (state.remaining > 0) headers[`x-ratelimit-remaining-${name}`] = String(state.remaining);
    headers[`x-ratelimit-reset-${name}`] = inDuration(state.resetMs);
  }
  return headers;
}

/** `1m30s`, as OpenAI writes durations. */
function inDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
