/** Reads an Anthropic messages body: what it asks for, field by field. */
import { blocks } from './anthropic-blocks.ts';
import { cacheControl, mcpServers, tool, toolChoice } from './anthropic-tools.ts';
import {
  among,
  data,
  each,
  fields,
  listOf,
  never,
  object,
  plain,
  readFields,
  textOr,
  uses,
  type Fields,
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

const jsonSchema = object({ type: plain, schema: data });

const thinkingFields = object({
  ...each(['type', 'budget_tokens', 'display'], plain),
  block_binding: object({ prefix_mismatch_behavior: plain }),
});

const thinking: Reader = (value, at, found) => {
  if (objectAt(value, at)['type'] !== 'disabled') found.use('reasoning', at);
  thinkingFields(value, at, found);
};

const outputConfig = object({
  effort: uses('reasoning'),
  format: uses('structuredOutput', jsonSchema),
  task_budget: uses('reasoning', object(each(['type', 'total', 'remaining'], plain))),
});

const amount = object(each(['type', 'value'], plain));

/** What the upstream leaves out of a conversation, or sums up, before the model sees it. */
const edits = listOf(
  object({
    ...each(['type', 'instructions', 'pause_after_compaction'], plain),
    ...each(['clear_at_least', 'trigger'], amount),
    keep: textOr(amount),
    clear_tool_inputs: (value, at, found) =>
      (Array.isArray(value) ? listOf(plain) : plain)(value, at, found),
    exclude_tools: listOf(plain),
  }),
);

/** Betas change what fields mean; they are held against the grant where they are named. */
const inTheHeader = never('is not passed on: name beta features in the header "anthropic-beta".');

/**
 * What makes up the prompt, for answering it as for counting it.
 *
 * Not here is what is the host's to decide, since it has another price, or another place: `inference_geo`,
 * `billing_policy`, `fallback_credit_token`.
 */
export const PROMPT: Record<string, Reader> = {
  model: plain,
  // One by one, below.
  messages: data,
  system: uses('systemPrompt', textOr(blocks)),
  tools: uses('tools', listOf(tool)),
  tool_choice: uses('tools', toolChoice),
  thinking,
  output_config: outputConfig,
  output_format: uses('structuredOutput', jsonSchema),
  cache_control: cacheControl,
  context_management: uses('stateful', object({ edits })),
  compaction: uses('stateful', object(each(['type', 'instructions'], plain))),
  mcp_servers: uses('hostedTools', mcpServers),
  // "fast" has another price than the endpoint's, which budgets are reckoned with.
  speed: among('standard'),
  betas: inTheHeader,
  anthropic_beta: inTheHeader,
};

const BODY = fields({
  ...PROMPT,
  ...each(['max_tokens', 'temperature', 'top_p', 'top_k'], plain),
  stop_sequences: listOf(plain),
  stream: (value, at, found) => {
    if (value === true) found.use('streaming', at);
  },
  // The first is what a request without the field gets.
  service_tier: among('auto', 'standard_only'),
  metadata: uses('stateful', object({ user_id: plain })),
  container: uses(
    'stateful',
    textOr(
      object({
        id: plain,
        skills: uses('hostedTools', listOf(object(each(['type', 'skill_id', 'version'], plain)))),
      }),
    ),
  ),
  thread: uses('stateful', object(each(['type', 'previous_message_id'], plain))),
  diagnostics: uses('stateful', object({ previous_message_id: plain })),
  fallbacks: never(
    'has other models answer, and a request reaches no model but the one it names. Leave it out.',
  ),
});

const MESSAGE = fields({
  role: plain,
  content: textOr(blocks),
  // Of a system message in the middle of a conversation.
  clear_at: plain,
  output_config: outputConfig,
});

/** @throws MalformedBody */
export function inspectMessages(body: JsonObject): Inspection {
  const inspection = inspectPrompt(body, BODY);
  const maxOutputTokens = countAt(body, 'max_tokens');
  if (maxOutputTokens === null) throw new MalformedBody('max_tokens', '"max_tokens" is required.');
  return { ...inspection, stream: streamOf(body), maxOutputTokens };
}

/**
 * What is in a prompt, whatever is done with it.
 *
 * @throws MalformedBody
 */
export function inspectPrompt(body: JsonObject, known: Fields): Inspection {
  const found = new Findings();
  readFields(body, '', known, found);
  const messages = listAt(body['messages'], 'messages');
  for (const [i, message] of messages.entries())
    inspectMessage(objectAt(message, `messages.${i}`), `messages.${i}`, found);
  notePrefill(messages, 'messages', found);
  return {
    model: modelOf(body),
    stream: false,
    uses: found.uses,
    n: 1,
    answers: 1,
    maxOutputTokens: null,
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
    messages: messages.length,
    tools: 'tools' in body,
  };
}

function inspectMessage(message: JsonObject, at: string, found: Findings): void {
  const { role, content } = message;
  if (role === 'system') found.use('systemPrompt', `${at}.role`);
  else if (role !== 'user' && role !== 'assistant')
    throw new MalformedBody(`${at}.role`, `"${at}.role" must be "user" or "assistant".`);
  // Only a system message can be there for its settings alone.
  else if (content === undefined || content === null)
    throw new MalformedBody(`${at}.content`, `"${at}.content" must be a text or a list of blocks.`);
  readFields(message, at, MESSAGE, found);
}
