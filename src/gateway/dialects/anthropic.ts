/** What all operations of the Anthropic dialect share. */
import { errorBody } from '../error-body.ts';
import type { Dialect, LimitHeaders } from './dialect.ts';

const DEFAULT_VERSION = '2023-06-01';

export const anthropic: Dialect = {
  name: 'anthropic',
  betaHeader: 'anthropic-beta',
  headers(client) {
    const version = client['anthropic-version'];
    return {
      'anthropic-version':
        typeof version === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(version)
          ? version
          : DEFAULT_VERSION,
    };
  },
  authorise: (credential) => ({ 'x-api-key': credential }),
  errorEvent: (why, requestId) =>
    `event: error\ndata: ${JSON.stringify(errorBody(why, requestId))}\n\n`,
  rateLimitHeaders,
};

/** Resets as moments. `remaining` is left out when it is zero (see the OpenAI dialect). */
function rateLimitHeaders({ requests, tokens }: LimitHeaders, now: number): Record<string, string> {
  const headers: Record<string, string> = {};
  const kinds = [
    ['requests', requests],
    ['tokens', tokens],
    ['input-tokens', tokens],
    ['output-tokens', tokens],
  ] as const;
  for (const [name, state] of kinds) {
    if (!state) continue;
    headers[`anthropic-ratelimit-${name}-limit`] = String(state.limit);
    if (state.remaining > 0)
      headers[`anthropic-ratelimit-${name}-remaining`] = String(state.remaining);
    headers[`anthropic-ratelimit-${name}-reset`] = new Date(now + state.resetMs).toISOString();
  }
  return headers;
}
