/** `POST /v1/responses` */
import type { Refusal } from '../../core/denials.ts';
import { isObject, type JsonObject } from '../../core/scope/inspection.ts';
import { inspectResponses } from '../../core/scope/responses.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { openai } from '../dialects/openai.ts';
import { errorObject } from '../error-body.ts';
import { dataOf, isNamedError } from '../sse.ts';
import { textIn } from '../text-meter.ts';
import {
  countOf,
  parseObject,
  type ProxiedOperation,
  type ReportedUsage,
  type StreamScanner,
} from './operation.ts';

/** The events of this API have names and shapes of their own, errors included. */
const dialect: Dialect = { ...openai, errorEvent };

export const responses: ProxiedOperation = {
  name: 'responses',
  dialect,
  path: '/v1/responses',
  query: {},
  charges: 'input and output',
  inspect: inspectResponses,
  prepare(body, { maxOutputTokens, stateful }) {
    const prepared: JsonObject = { ...body };
    prepared['max_output_tokens'] ??= maxOutputTokens;
    // The upstream stores every response unless it is told not to.
    if (!stateful) prepared['store'] ??= false;
    return prepared;
  },
  scanner: () => new ResponsesScanner(),
  usageOf: readUsage,
};

/** SDKs raise at `error`; clients that know events by their type look for what the vendor puts beside it. */
function errorEvent(why: Refusal, requestId: string): string {
  const error = errorObject(why);
  const { code, message, param } = error;
  // Strict schemas want a number. The gateway does not count events, and nothing follows this one.
  const event = { type: 'error', sequence_number: 0, code, message, param, error };
  return `event: error\ndata: ${JSON.stringify({ ...event, request_id: requestId })}\n\n`;
}

/** Only events about the response as a whole have that key. */
const MAY_MATTER = /"response"|error|\[DONE\]/;

/** The events behind the deltas repeat the text: of a part, of an item, of the response. */
const DELTA = textIn('delta');

class ResponsesScanner implements StreamScanner {
  readonly text = DELTA;
  #usage: ReportedUsage | null = null;
  #model: string | undefined;

  see(event: string): ReturnType<StreamScanner['see']> {
    // What a delta's text says is no type: only the parsed event tells.
    if (!MAY_MATTER.test(event)) return 'pass';
    const data = dataOf(event);
    // SDKs take it for the end, which in this API it is not: that is told by the status of the response.
    if (data.trimStart().startsWith('[DONE]')) return 'drop';
    const parsed = parseObject(data);
    if (parsed?.['error']) return 'error';
    if (isObject(parsed?.['response'])) this.#readResponse(parsed['response']);
    switch (parsed?.['type']) {
      case 'response.completed':
      case 'response.incomplete':
        return 'terminal';
      case 'response.failed':
      case 'error':
        return 'error';
      default:
        return isNamedError(event) ? 'failure' : 'pass';
    }
  }

  #readResponse(response: JsonObject): void {
    if (typeof response['model'] === 'string' && response['model'] !== '')
      this.#model = response['model'];
    this.#usage = readUsage(response) ?? this.#usage;
  }

  usage(): Partial<ReportedUsage> {
    return this.#usage ?? {};
  }

  model(): string | undefined {
    return this.#model;
  }
}

function readUsage(response: JsonObject): ReportedUsage | null {
  const { usage } = response;
  if (!isObject(usage)) return null;
  const inputTokens = countOf(usage['input_tokens']);
  const outputTokens = countOf(usage['output_tokens']);
  return inputTokens === undefined || outputTokens === undefined
    ? null
    : { inputTokens, outputTokens };
}
