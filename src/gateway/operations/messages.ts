/** `POST /v1/messages` */
import { inspectMessages } from '../../core/scope/messages.ts';
import { isObject, type JsonObject } from '../../core/scope/inspection.ts';
import { dataOf, isNamedError } from '../sse.ts';
import { DELTA_FIELDS } from '../text-meter.ts';
import { anthropic } from '../dialects/anthropic.ts';
import {
  countOf,
  parseObject,
  type ProxiedOperation,
  type ReportedUsage,
  type StreamScanner,
} from './operation.ts';

export const messages: ProxiedOperation = {
  name: 'messages',
  dialect: anthropic,
  path: '/v1/messages',
  query: { beta: 'true' },
  charges: 'input and output',
  inspect: inspectMessages,
  // max_tokens is required in this dialect, so the request always names a maximum.
  prepare: (body) => body,
  scanner: () => new MessagesScanner(),
  usageOf: (answer) => {
    const usage = isObject(answer['usage']) ? answer['usage'] : {};
    const inputTokens = inputOf(usage);
    const outputTokens = countOf(usage['output_tokens']);
    return inputTokens === undefined || outputTokens === undefined
      ? null
      : { inputTokens, outputTokens };
  },
};

const MAY_MATTER = /message_(?:start|delta|stop)|error/;

class MessagesScanner implements StreamScanner {
  readonly text = DELTA_FIELDS;
  readonly #usage: Partial<ReportedUsage> = {};
  #model: string | undefined;

  see(event: string): ReturnType<StreamScanner['see']> {
    // Most events are deltas of text. What a delta's text says is no type: only the parsed event tells.
    if (!MAY_MATTER.test(event)) return 'pass';
    // SDKs go by the name, whatever the data says, and skip what has none.
    if (isNamedError(event)) return 'error';
    const parsed = parseObject(dataOf(event));
    switch (parsed?.['type']) {
      case 'message_stop':
        return 'terminal';
      case 'error':
        return 'failure';
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
