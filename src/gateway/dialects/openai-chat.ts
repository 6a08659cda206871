/** OpenAI chat completions. */
import { errorObject } from '../error-body.ts';
import { inspectOpenaiChat } from '../../core/scope/openai-chat.ts';
import { isObject, type JsonObject } from '../../core/scope/inspection.ts';
import { dataOf } from '../sse.ts';
import {
  countOf,
  parseObject,
  type Dialect,
  type LimitHeaders,
  type ReportedUsage,
  type StreamScanner,
} from './dialect.ts';

export const openaiChat: Dialect = {
  name: 'openai',
  operation: 'chat.completions',
  path: '/v1/chat/completions',
  query: {},
  betaHeader: 'openai-beta',
  inspect: inspectOpenaiChat,
  prepare(body, { maxOutputTokens, maxOutputTokensField }) {
    const prepared: JsonObject = { ...body };
    const named = (field: string): boolean =>
      prepared[field] !== undefined && prepared[field] !== null;
    if (!named('max_tokens') && !named('max_completion_tokens')) {
      delete prepared['max_tokens'];
      delete prepared['max_completion_tokens'];
      prepared[maxOutputTokensField] = maxOutputTokens;
    }
    if (prepared['stream'] === true) {
      const options = prepared['stream_options'] ?? {};
      // What is no object is left for the inspection to refuse.
      if (isObject(options)) prepared['stream_options'] = { ...options, include_usage: true };
    }
    return prepared;
  },
  headers: () => ({}),
  authorise: (credential) => ({ authorization: `Bearer ${credential}` }),
  scanner: (body) =>
    new OpenaiScanner(
      isObject(body['stream_options']) && body['stream_options']['include_usage'] === true,
    ),
  usageOf: (answer) => (isObject(answer['usage']) ? readUsage(answer['usage']) : null),
  errorEvent: (why, requestId) =>
    `data: ${JSON.stringify({ error: errorObject(why), request_id: requestId })}\n\n`,
  rateLimitHeaders,
};

class OpenaiScanner implements StreamScanner {
  readonly #clientWantsUsage: boolean;
  #usage: ReportedUsage | null = null;
  #model: string | undefined;

  constructor(clientWantsUsage: boolean) {
    this.#clientWantsUsage = clientWantsUsage;
  }

  see(event: Buffer): ReturnType<StreamScanner['see']> {
    // Most events are deltas: they report no usage and cannot end the stream.
    const mayReport = event.includes('"usage"') && !event.includes('"usage":null');
    const mayEnd = event.includes('[DONE]') || event.includes('"error"');
    if (this.#model !== undefined && !mayReport && !mayEnd) return 'pass';
    const data = dataOf(event);
    if (data.trim() === '[DONE]') return 'terminal';
    const chunk = parseObject(data);
    if (!chunk) return 'pass';
    if (chunk['error'] !== undefined && chunk['error'] !== null) return 'error';
    if (typeof chunk['model'] === 'string') this.#model ??= chunk['model'];
    if (!isObject(chunk['usage'])) return 'pass';
    this.#usage = readUsage(chunk['usage']) ?? this.#usage;
    const isExtra = Array.isArray(chunk['choices']) && chunk['choices'].length === 0;
    return isExtra && !this.#clientWantsUsage ? 'drop' : 'pass';
  }

  usage(): Partial<ReportedUsage> {
    return this.#usage ?? {};
  }

  model(): string | undefined {
    return this.#model;
  }
}

function readUsage(usage: JsonObject): ReportedUsage | null {
  const inputTokens = countOf(usage['prompt_tokens']);
  const outputTokens = countOf(usage['completion_tokens']);
  return inputTokens === undefined || outputTokens === undefined
    ? null
    : { inputTokens, outputTokens };
}

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
