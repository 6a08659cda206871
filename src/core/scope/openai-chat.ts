/** Reads an OpenAI chat completions body: what it asks for, field by field. */
import type { Switch } from '../vocabulary.ts';
import {
  Findings,
  countAt,
  isObject,
  listAt,
  modelOf,
  mustBeShallow,
  objectAt,
  plainName,
  streamOf,
  MalformedBody,
  type Inspection,
  type JsonObject,
} from './inspection.ts';

/** Fields that need no feature: they only shape the answer of this one request. */
const FREE = new Set([
  'model',
  'messages',
  'stream_options',
  'n',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'user',
  'verbosity',
]);

/** Fields that use a feature by being there (and not null). */
const FEATURE_OF: Record<string, Switch> = {
  tools: 'tools',
  tool_choice: 'tools',
  parallel_tool_calls: 'tools',
  functions: 'tools',
  function_call: 'tools',
  web_search_options: 'hostedTools',
  top_logprobs: 'logprobs',
  logit_bias: 'logitBias',
  reasoning_effort: 'reasoning',
  audio: 'audio',
  prediction: 'prefill',
  metadata: 'stateful',
};

const MESSAGE_FIELDS = new Set([
  'role',
  'content',
  'name',
  'refusal',
  'tool_call_id',
  'tool_calls',
  'function_call',
  'audio',
]);

const FEATURE_OF_PART: Record<string, Switch | null> = {
  text: null,
  refusal: null,
  image_url: 'images',
  input_audio: 'audio',
  file: 'files',
};

/** @throws MalformedBody */
export function inspectOpenaiChat(body: JsonObject): Inspection {
  mustBeShallow(body);
  const found = new Findings();
  for (const [field, value] of Object.entries(body)) {
    if (value !== null) inspectField(field, value, found);
  }
  for (const [i, message] of listAt(body['messages'], 'messages').entries()) {
    inspectMessage(objectAt(message, `messages.${i}`), `messages.${i}`, found);
  }
  inspectPrefill(body['messages'] as JsonObject[], found);
  const maxTokens = countAt(body, 'max_tokens');
  const maxCompletionTokens = countAt(body, 'max_completion_tokens');
  return {
    model: modelOf(body),
    stream: streamOf(body),
    uses: found.uses,
    n: countAt(body, 'n') ?? 1,
    // Both at once: what the upstream makes of it is not ours to guess, so the larger counts.
    maxOutputTokens:
      maxTokens === null && maxCompletionTokens === null
        ? null
        : Math.max(maxTokens ?? 0, maxCompletionTokens ?? 0),
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
  };
}

function inspectField(field: string, value: unknown, found: Findings): void {
  if (FREE.has(field)) {
    if (field === 'stream_options') inspectStreamOptions(objectAt(value, field), found);
    return;
  }
  const feature = Object.hasOwn(FEATURE_OF, field) ? FEATURE_OF[field] : undefined;
  if (feature) {
    found.use(feature, field);
    if (field === 'tools') inspectTools(value, found);
    return;
  }
  switch (field) {
    case 'stream':
      if (value === true) found.use('streaming', field);
      return;
    case 'logprobs':
      if (value !== false) found.use('logprobs', field);
      return;
    case 'store':
      if (value !== false) found.use('stateful', field);
      return;
    case 'modalities':
      if (JSON.stringify(value) !== '["text"]') found.use('audio', field);
      return;
    case 'response_format':
      if (objectAt(value, field)['type'] !== 'text') found.use('structuredOutput', field);
      return;
    default:
      found.unknown(plainName(field));
  }
}

function inspectStreamOptions(options: JsonObject, found: Findings): void {
  for (const name of Object.keys(options)) {
    if (name !== 'include_usage' && name !== 'include_obfuscation')
      found.unknown(`stream_options.${plainName(name)}`);
  }
}

function inspectTools(value: unknown, found: Findings): void {
  for (const [i, tool] of listAt(value, 'tools').entries()) {
    const { type } = objectAt(tool, `tools.${i}`);
    // Anything else is carried out by the upstream.
    if (type !== 'function' && type !== 'custom') found.use('hostedTools', `tools.${i}`);
  }
}

function inspectMessage(message: JsonObject, at: string, found: Findings): void {
  switch (message['role']) {
    case 'user':
    case 'assistant':
      break;
    case 'system':
    case 'developer':
      found.use('systemPrompt', `${at}.role`);
      break;
    case 'tool':
    case 'function':
      found.use('tools', `${at}.role`);
      break;
    default:
      throw new MalformedBody(
        `${at}.role`,
        `"${at}.role" must be one of: system, developer, user, assistant, tool, function.`,
      );
  }
  for (const [field, value] of Object.entries(message)) {
    if (value === null) continue;
    if (!MESSAGE_FIELDS.has(field)) found.unknown(`${at}.${plainName(field)}`);
    else if (field === 'tool_calls' || field === 'function_call')
      found.use('tools', `${at}.${field}`);
    else if (field === 'audio') found.use('audio', `${at}.${field}`);
  }
  const { content } = message;
  if (content === undefined || content === null || typeof content === 'string') return;
  for (const [i, part] of listAt(content, `${at}.content`).entries()) {
    inspectPart(objectAt(part, `${at}.content.${i}`), `${at}.content.${i}`, found);
  }
}

function inspectPart(part: JsonObject, at: string, found: Findings): void {
  const { type } = part;
  if (typeof type !== 'string' || !Object.hasOwn(FEATURE_OF_PART, type)) {
    found.unknown(`${at}.type`);
    return;
  }
  const feature = FEATURE_OF_PART[type];
  if (!feature) return;
  found.use(feature, at);
  found.mediaParts += 1;
  // By its id: a file that lies with the upstream, whoever put it there.
  const { file } = part;
  if (isObject(file) && (file['file_id'] ?? null) !== null)
    found.use('stateful', `${at}.file.file_id`);
}

/** A last message of the assistant is continued by many upstreams: the beginning of the answer, put in its mouth. */
function inspectPrefill(messages: JsonObject[], found: Findings): void {
  const last = messages.at(-1);
  if (isObject(last) && last['role'] === 'assistant')
    found.use('prefill', `messages.${messages.length - 1}`);
}
