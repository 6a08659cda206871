/** Reads an OpenAI chat completions body: what it asks for, field by field. */
import {
  byType,
  data,
  each,
  fields,
  listOf,
  object,
  plain,
  readFields,
  textOr,
  uses,
  type Reader,
} from './fields.ts';
import {
  Findings,
  MalformedBody,
  countAt,
  listAt,
  modelOf,
  objectAt,
  streamOf,
  type Inspection,
  type JsonObject,
} from './inspection.ts';
import { notePrefill } from './prefill.ts';
import {
  FUNCTION,
  PARSED,
  ROUTING,
  SAMPLING,
  STEERING,
  STREAM,
  audioData,
  cacheBreakpoint,
  called,
  media,
  named,
  outputFormat,
  usesUnless,
} from './openai-fields.ts';

const customFormat = byType({
  text: object({ type: plain }),
  grammar: object({ type: plain, grammar: object(each(['definition', 'syntax'], plain)) }),
});

const tool = byType({
  function: object({ type: plain, function: object(FUNCTION) }),
  custom: object({
    type: plain,
    custom: object({ ...each(['name', 'description'], plain), format: customFormat }),
  }),
});

const CHOSEN = {
  function: object({ type: plain, function: named }),
  custom: object({ type: plain, custom: named }),
};

const toolChoice = byType({
  ...CHOSEN,
  allowed_tools: object({
    type: plain,
    allowed_tools: object({ mode: plain, tools: listOf(byType(CHOSEN)) }),
  }),
});

const textPart = object({ ...each(['type', 'text'], plain), ...cacheBreakpoint });

const part = byType({
  text: textPart,
  refusal: object(each(['type', 'refusal'], plain)),
  image_url: media('images', { image_url: textOr(object(each(['url', 'detail'], plain))) }),
  input_audio: media('audio', { input_audio: audioData }),
  file: media('files', {
    file: object({
      ...each(['file_data', 'filename'], plain),
      file_id: uses('stateful'),
    }),
  }),
});

const CALL = each(['id', 'type', 'index'], plain);

const toolCall = byType({
  function: object({ ...CALL, function: called }),
  custom: object({ ...CALL, custom: object(each(['name', 'input'], plain)) }),
});

/** Some servers put an empty list into every answer, which comes back as input: there is no call in it. */
const toolCalls: Reader = (value, at, found) => {
  if (listAt(value, at).length > 0) uses('tools', listOf(toolCall))(value, at, found);
};

/** What the upstream cited, in an answer that comes back as input. */
const citation = byType({
  url_citation: object({
    type: plain,
    url_citation: object(each(['url', 'title', 'start_index', 'end_index'], plain)),
  }),
});

const MESSAGE = fields({
  ...each(['role', 'name', 'refusal', 'tool_call_id'], plain),
  ...PARSED,
  content: textOr(listOf(part)),
  tool_calls: toolCalls,
  function_call: uses('tools', called),
  audio: uses(
    'audio',
    // An earlier answer, by its id: it lies with the upstream.
    object({ id: uses('stateful'), ...each(['data', 'expires_at', 'transcript'], plain) }),
  ),
  annotations: listOf(citation),
  ...each(['reasoning', 'reasoning_content'], uses('reasoning')),
});

const place = object(each(['city', 'country', 'region', 'timezone'], plain));

/** Not here is `moderation`: it has the input read by a model that nobody has pinned. */
const BODY = fields({
  ...SAMPLING,
  ...STEERING,
  ...ROUTING,
  ...STREAM,
  ...each(['model', 'n', 'max_tokens', 'max_completion_tokens', 'verbosity'], plain),
  // Each on its own, below.
  messages: data,
  tools: uses('tools', listOf(tool)),
  tool_choice: uses('tools', textOr(toolChoice)),
  parallel_tool_calls: uses('tools'),
  functions: uses('tools', listOf(object(FUNCTION))),
  function_call: uses('tools', textOr(named)),
  web_search_options: uses(
    'hostedTools',
    object({
      search_context_size: plain,
      user_location: object({ type: plain, approximate: place }),
    }),
  ),
  logprobs: usesUnless(false, 'logprobs'),
  ...each(['top_logprobs', 'prompt_logprobs'], uses('logprobs')),
  response_format: outputFormat(
    object({
      type: plain,
      json_schema: object({ ...each(['name', 'description', 'strict'], plain), schema: data }),
    }),
  ),
  ...each(['reasoning_effort', 'include_reasoning'], uses('reasoning')),
  chat_template_kwargs: object(each(['enable_thinking', 'thinking'], uses('reasoning'))),
  modalities: (value, at, found) => {
    if (JSON.stringify(value) !== '["text"]') uses('audio', listOf(plain))(value, at, found);
  },
  audio: uses('audio', object({ format: plain, voice: textOr(object({ id: uses('stateful') })) })),
  prediction: uses('prefill', object({ type: plain, content: textOr(listOf(textPart)) })),
  continue_final_message: usesUnless(false, 'prefill'),
  add_generation_prompt: usesUnless(true, 'prefill'),
  store: usesUnless(false, 'stateful'),
  metadata: uses('stateful', data),
});

/** @throws MalformedBody */
export function inspectChatCompletions(body: JsonObject): Inspection {
  const found = new Findings();
  readFields(body, '', BODY, found);
  const messages = listAt(body['messages'], 'messages');
  for (const [i, item] of messages.entries()) {
    const at = `messages.${i}`;
    const message = objectAt(item, at);
    readRole(message['role'], `${at}.role`, found);
    readFields(message, at, MESSAGE, found);
  }
  notePrefill(messages, 'messages', found);
  const n = countAt(body, 'n') ?? 1;
  const maxTokens = countAt(body, 'max_tokens');
  const maxCompletionTokens = countAt(body, 'max_completion_tokens');
  return {
    model: modelOf(body),
    stream: streamOf(body),
    uses: found.uses,
    n,
    answers: n,
    // Both at once: what the upstream makes of it is not ours to guess, so the larger counts.
    maxOutputTokens:
      maxTokens === null && maxCompletionTokens === null
        ? null
        : Math.max(maxTokens ?? 0, maxCompletionTokens ?? 0),
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
    messages: messages.length,
    tools: 'tools' in body || 'functions' in body,
  };
}

function readRole(role: unknown, at: string, found: Findings): void {
  switch (role) {
    case 'user':
    case 'assistant':
      return;
    case 'system':
    case 'developer':
      found.use('systemPrompt', at);
      return;
    case 'tool':
    case 'function':
      found.use('tools', at);
      return;
    default:
      throw new MalformedBody(
        at,
        `"${at}" must be one of: system, developer, user, assistant, tool, function.`,
      );
  }
}
