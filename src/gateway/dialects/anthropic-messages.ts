/** Anthropic messages. */
import { errorBody } from '../error-body.ts';
import { inspectAnthropicMessages } from '../../core/scope/anthropic-messages.ts';
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

const DEFAULT_VERSION = '2023-06-01';

export const anthropicMessages: Dialect = {
  name: 'anthropic',
  operation: 'messages',
  path: '/v1/messages',
  query: { beta: 'true' },
  betaHeader: 'anthropic-beta',
  inspect: inspectAnthropicMessages,
  // max_tokens is required in this dialect, so the request always names a maximum.
  prepare: (body) => body,
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
  scanner: () => new AnthropicScanner(),
  usageOf: (answer) => {
    const usage = isObject(answer['usage']) ? answer['usage'] : {};
    const inputTokens = inputOf(usage);
    const outputTokens = countOf(usage['output_tokens']);
    return inputTokens === undefined || outputTokens === undefined
      ? null
      : { inputTokens, outputTokens };
  },
  errorEvent: (why, requestId) =>
    `event: error\ndata: ${JSON.stringify(errorBody(why, requestId))}\n\n`,
  rateLimitHeaders,
};

const MAY_MATTER = ['message_start', 'message_delta', 'message_stop', 'error'];

class AnthropicScanner implements StreamScanner {
  readonly #usage: Partial<ReportedUsage> = {};
  #model: string | undefined;

  see(event: Buffer): ReturnType<StreamScanner['see']> {
    // Most events are deltas of text. What a delta's text says is no type: only the parsed event tells.
    if (!MAY_MATTER.some((word) => event.includes(word))) return 'pass';
    const parsed = parseObject(dataOf(event));
    switch (parsed?.['type']) {
      case 'message_stop':
        return 'terminal';
      case 'error':
        return 'error';
      case 'message_start':
        if (isObject(parsed['message'])) this.#readStart(parsed['message']);
        return 'pass';
      case 'message_delta':
        // Cumulative: the last one counts. Some servers tell the input here, too.
        if (isObject(parsed['usage'])) this.#readUsage(parsed['usage']);
        return 'pass';
      default:
        return 'pass';
    }
  }

  usage(): Partial<ReportedUsage> {
    return this.#usage;
  }

  model(): string | undefined {
    return this.#model;
  }

  #readStart(message: JsonObject): void {
    if (typeof message['model'] === 'string') this.#model = message['model'];
    const usage = isObject(message['usage']) ? message['usage'] : {};
    // Its output count is a beginning, not a result: it counts only once a message_delta confirms it.
    const input = inputOf(usage);
    if (input !== undefined) this.#usage.inputTokens = input;
  }

  #readUsage(usage: JsonObject): void {
    const output = countOf(usage['output_tokens']);
    if (output !== undefined) this.#usage.outputTokens = output;
    const input = inputOf(usage);
    if (input !== undefined)
      this.#usage.inputTokens = Math.max(input, this.#usage.inputTokens ?? 0);
  }
}

/** All input that is paid for: `input_tokens` leaves out what came from the prompt cache or went into it. */
function inputOf(usage: JsonObject): number | undefined {
  const fresh = countOf(usage['input_tokens']);
  if (fresh === undefined) return undefined;
  return (
    fresh +
    (countOf(usage['cache_creation_input_tokens']) ?? 0) +
    (countOf(usage['cache_read_input_tokens']) ?? 0)
  );
}

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
