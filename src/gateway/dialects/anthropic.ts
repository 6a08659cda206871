/** What all operations of the Anthropic dialect share. */
import type { HeaderList } from '../answer-head.ts';
import { errorBody } from '../error-body.ts';
import type { Dialect, LimitHeaders } from './dialect.ts';

const DEFAULT_VERSION = '2023-06-01';

export const anthropic: Dialect = {
  name: 'anthropic',
  betaHeader: 'anthropic-beta',
  headers(client) {
    const version = client['anthropic-version'];
    const isOne = typeof version === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(version);
    return ['anthropic-version', isOne ? version : DEFAULT_VERSION];
  },
  authorise: (credential) => ['x-api-key', credential],
  errorEvent: (why, requestId) =>
    `event: error\ndata: ${JSON.stringify(errorBody(why, requestId))}\n\n`,
  rateLimitHeaders,
};

/** Resets as moments. `remaining` is left out when it is zero (see the OpenAI dialect). */
function rateLimitHeaders({ requests, tokens }: LimitHeaders, now: number): HeaderList {
  const headers: HeaderList = [];
  const kinds = [
    ['requests', requests],
    ['tokens', tokens],
    ['input-tokens', tokens],
    ['output-tokens', tokens],
  ] as const;
  for (const [name, state] of kinds) {
    if (!state) continue;
    headers.push(`anthropic-ratelimit-${name}-limit`, String(state.limit));
    if (state.remaining > 0)
      headers.push(`anthropic-ratelimit-${name}-remaining`, String(state.remaining));
    const reset = new Date(now + state.resetMs).toISOString();
    headers.push(`anthropic-ratelimit-${name}-reset`, reset);
  }
  return headers;
}
