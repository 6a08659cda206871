/** Reads an Anthropic messages body: what it asks for, field by field. */
import type { Switch } from '../vocabulary.ts';
import {
  Findings,
  MalformedBody,
  countAt,
  isObject,
  listAt,
  modelOf,
  mustBeShallow,
  objectAt,
  plainName,
  streamOf,
  type Inspection,
  type JsonObject,
} from './inspection.ts';

/** Fields that need no feature: they only shape the answer of this one request. */
const FREE = new Set([
  'model',
  'messages',
  'max_tokens',
  'stop_sequences',
  'temperature',
  'top_p',
  'top_k',
  'cache_control',
]);

/** Fields that use a feature by being there (and not null). */
const FEATURE_OF: Record<string, Switch> = {
  system: 'systemPrompt',
  tools: 'tools',
  tool_choice: 'tools',
  mcp_servers: 'hostedTools',
  container: 'stateful',
  context_management: 'stateful',
  metadata: 'stateful',
  output_format: 'structuredOutput',
};

const FEATURE_OF_BLOCK: Record<string, Switch | null> = {
  text: null,
  image: 'images',
  document: 'files',
  search_result: 'files',
  container_upload: 'files',
  tool_use: 'tools',
  tool_result: 'tools',
  thinking: 'reasoning',
  redacted_thinking: 'reasoning',
  server_tool_use: 'hostedTools',
  mcp_tool_use: 'hostedTools',
  mcp_tool_result: 'hostedTools',
};

/** Blocks whose content can be blocks: a tool's result may be an image. */
const HOLDS_BLOCKS = new Set(['tool_result', 'mcp_tool_result', 'search_result']);

const MESSAGE_FIELDS = new Set(['role', 'content']);

/** @throws MalformedBody */
export function inspectAnthropicMessages(body: JsonObject): Inspection {
  mustBeShallow(body);
  const found = new Findings();
  for (const [field, value] of Object.entries(body)) {
    if (value !== null) inspectField(field, value, found);
  }
  const messages = listAt(body['messages'], 'messages');
  for (const [i, message] of messages.entries())
    inspectMessage(objectAt(message, `messages.${i}`), `messages.${i}`, found);
  const last = messages.at(-1);
  if (isObject(last) && last['role'] === 'assistant')
    found.use('prefill', `messages.${messages.length - 1}`);
  const maxOutputTokens = countAt(body, 'max_tokens');
  if (maxOutputTokens === null) throw new MalformedBody('max_tokens', '"max_tokens" is required.');
  return {
    model: modelOf(body),
    stream: streamOf(body),
    uses: found.uses,
    n: 1,
    maxOutputTokens,
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
  };
}

function inspectField(field: string, value: unknown, found: Findings): void {
  if (FREE.has(field)) return;
  const feature = Object.hasOwn(FEATURE_OF, field) ? FEATURE_OF[field] : undefined;
  if (feature) {
    found.use(feature, field);
    if (field === 'tools') inspectTools(value, found);
    if (field === 'system' && typeof value !== 'string') inspectBlocks(value, field, found);
    return;
  }
  switch (field) {
    case 'stream':
      if (value === true) found.use('streaming', field);
      return;
    case 'thinking':
      if (objectAt(value, field)['type'] !== 'disabled') found.use('reasoning', field);
      return;
    case 'output_config':
      inspectOutputConfig(objectAt(value, field), found);
      return;
    default:
      found.unknown(plainName(field));
  }
}

function inspectOutputConfig(config: JsonObject, found: Findings): void {
  for (const name of Object.keys(config)) {
    if (name === 'effort') found.use('reasoning', 'output_config.effort');
    else if (name === 'format') found.use('structuredOutput', 'output_config.format');
    else found.unknown(`output_config.${plainName(name)}`);
  }
}

function inspectTools(value: unknown, found: Findings): void {
  for (const [i, tool] of listAt(value, 'tools').entries()) {
    const { type } = objectAt(tool, `tools.${i}`);
    // A tool with a type of its own is the vendor's: it runs there, or drives a computer.
    if (type !== undefined && type !== null && type !== 'custom')
      found.use('hostedTools', `tools.${i}`);
  }
}

function inspectMessage(message: JsonObject, at: string, found: Findings): void {
  const { role, content } = message;
  if (role === 'system') found.use('systemPrompt', `${at}.role`);
  else if (role !== 'user' && role !== 'assistant') {
    throw new MalformedBody(`${at}.role`, `"${at}.role" must be "user" or "assistant".`);
  }
  for (const field of Object.keys(message))
    if (!MESSAGE_FIELDS.has(field)) found.unknown(`${at}.${plainName(field)}`);
  if (typeof content !== 'string') inspectBlocks(content, `${at}.content`, found);
}

function inspectBlocks(value: unknown, at: string, found: Findings): void {
  for (const [i, item] of listAt(value, at).entries()) {
    const block = objectAt(item, `${at}.${i}`);
    const { type } = block;
    if (typeof type !== 'string' || !isKnownBlock(type)) {
      found.unknown(`${at}.${i}.type`);
      continue;
    }
    const feature = Object.hasOwn(FEATURE_OF_BLOCK, type) ? FEATURE_OF_BLOCK[type] : 'hostedTools';
    if (feature) found.use(feature, `${at}.${i}`);
    if (feature === 'images' || feature === 'files') found.mediaParts += 1;
    if (HOLDS_BLOCKS.has(type) && Array.isArray(block['content']))
      inspectBlocks(block['content'], `${at}.${i}.content`, found);
    if (isObject(block['source'])) inspectSource(block['source'], `${at}.${i}.source`, found);
  }
}

/** Where an image or document comes from: a document can be made of blocks, a file lies with the upstream. */
function inspectSource(source: JsonObject, at: string, found: Findings): void {
  if (source['type'] === 'file') found.use('stateful', at);
  if (Array.isArray(source['content'])) inspectBlocks(source['content'], `${at}.content`, found);
}

/** Results of the vendor's own tools are named after the tool: web_search_tool_result, code_execution_tool_result … */
function isKnownBlock(type: string): boolean {
  return Object.hasOwn(FEATURE_OF_BLOCK, type) || /^[a-z_]{1,40}_tool_result$/.test(type);
}
