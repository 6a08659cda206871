/** What all operations of the OpenAI dialect share. */
import type { LimitState } from '../../core/limits.ts';
import type { HeaderList } from '../answer-head.ts';
import { errorObject } from '../error-body.ts';
import type { Dialect, LimitHeaders } from './dialect.ts';

export const openai: Dialect = {
  name: 'openai',
  betaHeader: 'openai-beta',
  headers: () => [],
  authorise: (credential) => ['authorization', `Bearer ${credential}`],
  errorEvent: (why, requestId) =>
    `data: ${JSON.stringify({ error: errorObject(why), request_id: requestId })}\n\n`,
  rateLimitHeaders,
};

/** `remaining` is left out when it is zero: a harness takes a zero on a 200 for "rate limited" and sends again. */
function rateLimitHeaders({ requests, tokens }: LimitHeaders): HeaderList {
  const headers: HeaderList = [];
  if (requests) addState(headers, 'requests', requests);
  if (tokens) addState(headers, 'tokens', tokens);
  return headers;
}

function addState(headers: HeaderList, name: string, state: LimitState): void {
  headers.push(`x-ratelimit-limit-${name}`, String(state.limit));
  if (state.remaining > 0) headers.push(`x-ratelimit-remaining-${name}`, String(state.remaining));
  headers.push(`x-ratelimit-reset-${name}`, inDuration(state.resetMs));
}

/** `1m30s`, as OpenAI writes durations. */
function inDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
