/** Streams of chunks that end with `[DONE]`, as chat completions and completions have them. */
import { isObject, type JsonObject } from '../../core/scope/inspection.ts';
import { dataOf, isNamedError } from '../sse.ts';
import { DELTA_FIELDS } from '../text-meter.ts';
import { countOf, parseObject, type ReportedUsage, type StreamScanner } from './operation.ts';

/** Has a stream report usage, whatever the client wants to see of it. */
export function askForUsage(body: JsonObject): void {
  if (body['stream'] !== true) return;
  const options = body['stream_options'] ?? {};
  // What is no object is left for the inspection to refuse.
  if (isObject(options)) body['stream_options'] = { ...options, include_usage: true };
}

/** @param asked the client's body, which says whether it wants to see usage */
export function chunkScanner(asked: JsonObject): StreamScanner {
  const options = asked['stream_options'];
  return new ChunkScanner(isObject(options) && options['include_usage'] === true);
}

export function chunkUsage(answer: JsonObject): ReportedUsage | null {
  const { usage } = answer;
  if (!isObject(usage)) return null;
  const inputTokens = countOf(usage['prompt_tokens']);
  const outputTokens = countOf(usage['completion_tokens']);
  return inputTokens === undefined || outputTokens === undefined
    ? null
    : { inputTokens, outputTokens };
}

/** Reports usage, ends the stream, or may do so. Many servers send `"usage":null` with every chunk. */
const MAY_MATTER = /"usage"[ \t]*:[ \t]*\{|\[DONE\]|error/;

class ChunkScanner implements StreamScanner {
  readonly text = DELTA_FIELDS;
  readonly #clientWantsUsage: boolean;
  #usage: ReportedUsage | null = null;
  #model: string | undefined;

  constructor(clientWantsUsage: boolean) {
    this.#clientWantsUsage = clientWantsUsage;
  }

  see(event: string): ReturnType<StreamScanner['see']> {
    const mayNameModel = this.#model === undefined && event.includes('"model"');
    if (!mayNameModel && !MAY_MATTER.test(event)) return 'pass';
    const data = dataOf(event);
    // SDKs stop at whatever begins like this.
    if (data.trimStart().startsWith('[DONE]')) return 'terminal';
    const chunk = parseObject(data);
    // As SDKs do: they raise at anything but an error that is null, empty or false, and not at a name.
    if (chunk?.['error']) return 'error';
    if (isNamedError(event)) return 'failure';
    if (!chunk) return 'pass';
    // Some servers begin with a chunk that names no model, about filters of the prompt.
    if (typeof chunk['model'] === 'string' && chunk['model'] !== '') this.#model ??= chunk['model'];
    if (!isObject(chunk['usage'])) return 'pass';
    // Some servers report with every chunk: the last one counts.
    this.#usage = chunkUsage(chunk) ?? this.#usage;
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
