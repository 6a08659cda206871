/** Reads an OpenAI responses body: what it asks for, field by field. */
import type { Switch } from '../vocabulary.ts';
import {
  among,
  data,
  each,
  fields,
  listOf,
  mapOf,
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
  streamOf,
  type Inspection,
  type JsonObject,
} from './inspection.ts';
import { notePrefill } from './prefill.ts';
import {
  ROUTING,
  SAMPLING,
  STEERING,
  STREAM,
  costly,
  outputFormat,
  stored,
  usesUnless,
} from './openai-fields.ts';
import { inputItem, inputPart } from './response-items.ts';
import { tool, toolChoice } from './response-tools.ts';

/** What else an answer can contain, and what that comes from. */
const INCLUDED: ReadonlyMap<unknown, Switch> = new Map([
  ['reasoning.encrypted_content', 'reasoning'],
  ['message.output_text.logprobs', 'logprobs'],
  ['message.input_image.image_url', 'images'],
  ['code_interpreter_call.outputs', 'hostedTools'],
  ['computer_call_output.output.image_url', 'hostedTools'],
  ['file_search_call.results', 'hostedTools'],
  ['web_search_call.action.sources', 'hostedTools'],
  ['web_search_call.results', 'hostedTools'],
]);

const included: Reader = (value, at, found) => {
  const feature = INCLUDED.get(value);
  if (feature) found.use(feature, at);
  else found.unknown(at);
};

const inBackground: Reader = (value, at) => {
  if (value !== false)
    throw new MalformedBody(
      at,
      `"${at}" must be false: an answer that goes on without its connection can be neither metered nor stopped.`,
    );
};

/** Not here is `moderation`: it has the input read by a model that nobody has pinned. */
const BODY = fields({
  ...SAMPLING,
  ...STEERING,
  ...ROUTING,
  ...STREAM,
  ...each(['model', 'max_output_tokens', 'max_tool_calls', 'truncation'], plain),
  // Each item on its own, below.
  input: data,
  instructions: uses('systemPrompt'),
  tools: uses('tools', listOf(tool)),
  tool_choice: uses('tools', textOr(toolChoice)),
  parallel_tool_calls: uses('tools'),
  include: listOf(included),
  top_logprobs: uses('logprobs'),
  text: object({
    verbosity: plain,
    format: outputFormat(
      object({ ...each(['type', 'name', 'description', 'strict'], plain), schema: data }),
    ),
  }),
  reasoning: uses(
    'reasoning',
    object({
      ...each(['context', 'effort', 'generate_summary', 'summary'], plain),
      // Another mode has another price, as another service tier has.
      mode: among('standard'),
    }),
  ),
  store: usesUnless(false, 'stateful'),
  background: inBackground,
  previous_response_id: stored,
  conversation: costly(uses('stateful', textOr(object({ id: plain })))),
  // A template that lies with the upstream; what is put into it is text, or a part of a message.
  prompt: costly(
    uses(
      'stateful',
      object({ ...each(['id', 'version'], plain), variables: mapOf(textOr(inputPart)) }),
    ),
  ),
  context_management: uses('stateful', listOf(object(each(['type', 'compact_threshold'], plain)))),
  metadata: uses('stateful', data),
});

/** @throws MalformedBody */
export function inspectResponses(body: JsonObject): Inspection {
  const found = new Findings();
  readFields(body, '', BODY, found);
  // The API stores what is not said to be left unstored.
  if ((body['store'] ?? null) === null) found.use('stateful', 'store');
  const items = itemsOf(body['input']);
  for (const [i, item] of items.entries()) inputItem(item, `input.${i}`, found);
  notePrefill(items, 'input', found);
  return {
    model: modelOf(body),
    stream: streamOf(body),
    uses: found.uses,
    n: 1,
    answers: 1,
    maxOutputTokens: countAt(body, 'max_output_tokens'),
    maxOutputTokensField: 'max_output_tokens',
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
    messages: items.length + 1,
    tools: 'tools' in body,
  };
}

/** A text is one message; there can be no input at all beside a stored prompt. */
function itemsOf(input: unknown): unknown[] {
  return typeof input === 'string' || (input ?? null) === null ? [] : listAt(input, 'input');
}
