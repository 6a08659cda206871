/** Items of the Responses API's input: messages, calls of tools and their results, and what refers to others. */
import {
  byType,
  data,
  each,
  listOf,
  object,
  plain,
  refuseType,
  textOr,
  uses,
  type Reader,
} from './fields.ts';
import { MalformedBody, objectAt } from './inspection.ts';
import { PARSED, audioData, cacheBreakpoint, costly, media, stored } from './openai-fields.ts';
import { containerOrId, tool } from './response-tools.ts';
import { callerWith } from './tool-callers.ts';

/** A part of a message, or of what a tool has returned. */
export const inputPart = byType({
  input_text: object({ ...each(['type', 'text'], plain), ...cacheBreakpoint }),
  // Of an answer that comes back as input: what the upstream cited and reckoned is its own.
  output_text: object({
    ...each(['type', 'text'], plain),
    ...PARSED,
    annotations: data,
    logprobs: data,
  }),
  refusal: object(each(['type', 'refusal'], plain)),
  input_image: media('images', {
    ...each(['detail', 'image_url'], plain),
    file_id: uses('stateful'),
  }),
  input_file: media('files', {
    ...each(['detail', 'file_data', 'file_url', 'filename'], plain),
    file_id: uses('stateful'),
  }),
  input_audio: media('audio', { input_audio: audioData }),
});

const content = textOr(listOf(inputPart));

/**
 * An item, which may have come out of an earlier answer. Where it brings nothing of its own, its id stands for it: the
 * upstream looks up what lies with it under that id, whoever put it there.
 */
function itemOf(own: Record<string, Reader>, beside: Record<string, Reader>): Reader {
  const names = Object.keys(own);
  const read = object({ ...own, ...beside });
  return (value, at, found) => {
    read(value, at, found);
    const item = objectAt(value, at);
    const id = item['id'] ?? null;
    if (id !== null && !names.some((name) => isThere(item[name]))) stored(id, `${at}.id`, found);
  };
}

function isThere(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== '';
}

const messageFields = itemOf({ content }, each(['type', 'id', 'role', 'phase', 'status'], plain));

const message: Reader = (value, at, found) => {
  const item = objectAt(value, at);
  const { role } = item;
  if (role === 'system' || role === 'developer') found.use('systemPrompt', `${at}.role`);
  else if (role !== 'user' && role !== 'assistant')
    throw new MalformedBody(
      `${at}.role`,
      `"${at}.role" must be one of: system, developer, user, assistant.`,
    );
  messageFields(item, at, found);
};

const ITEM = each(['type', 'id', 'status', 'created_by'], plain);
const CALL = { ...ITEM, call_id: plain, caller: callerWith('caller_id') };

const ofClient = (own: Record<string, Reader>, beside: Record<string, Reader> = {}): Reader =>
  uses('tools', itemOf(own, { ...CALL, ...beside }));

const ofUpstream = (own: Record<string, Reader>, beside: Record<string, Reader> = {}): Reader =>
  uses('hostedTools', itemOf(own, { ...CALL, ...beside }));

const CALLED = each(['name', 'namespace'], plain);

const text = object(each(['type', 'text'], plain));

const screenshot = media('images', { image_url: plain, file_id: uses('stateful') });

const PATCHES = { operation: object(each(['type', 'path', 'diff'], plain)) };

const reference = object({ type: plain, id: stored });

const typedItem = byType({
  message,
  function_call: ofClient({ arguments: plain }, { ...CALLED, ...PARSED }),
  function_call_output: ofClient({ output: content }),
  custom_tool_call: ofClient({ input: plain }, CALLED),
  custom_tool_call_output: ofClient({ output: content }),
  additional_tools: uses('tools', itemOf({ tools: listOf(tool) }, { ...ITEM, role: plain })),
  reasoning: uses(
    'reasoning',
    // A summary is for people; the model goes by the rest.
    itemOf({ content: listOf(text), encrypted_content: plain }, { ...ITEM, summary: listOf(text) }),
  ),
  // What the upstream made of a longer conversation, which only it can read.
  compaction: uses('stateful', itemOf({ encrypted_content: plain }, ITEM)),
  compaction_trigger: uses('stateful', object({ type: plain })),
  item_reference: reference,

  apply_patch_call: ofUpstream(PATCHES),
  apply_patch_call_output: ofUpstream({ output: plain }),
  code_interpreter_call: ofUpstream({ code: plain, outputs: data }, { container_id: stored }),
  computer_call: ofUpstream({ action: data, actions: data }, { pending_safety_checks: data }),
  computer_call_output: ofUpstream({ output: screenshot }, { acknowledged_safety_checks: data }),
  file_search_call: ofUpstream({ queries: listOf(plain), results: data }),
  image_generation_call: ofUpstream({ result: costly(uses('images')) }),
  local_shell_call: ofUpstream({ action: data }),
  local_shell_call_output: ofUpstream({ output: plain }),
  mcp_approval_request: ofUpstream({ arguments: plain }, each(['name', 'server_label'], plain)),
  mcp_approval_response: ofUpstream(
    { approve: plain },
    each(['approval_request_id', 'reason'], plain),
  ),
  mcp_call: ofUpstream(
    { arguments: plain },
    each(['name', 'server_label', 'approval_request_id', 'error', 'output'], plain),
  ),
  mcp_list_tools: ofUpstream({ tools: data }, each(['server_label', 'error'], plain)),
  program: ofUpstream({ code: plain }, { fingerprint: plain }),
  program_output: ofUpstream({ result: plain }),
  shell_call: ofUpstream({ action: data }, { environment: containerOrId }),
  shell_call_output: ofUpstream({ output: data }, { max_output_length: plain }),
  tool_search_call: ofUpstream({ arguments: data }, { execution: plain }),
  tool_search_output: ofUpstream({ tools: listOf(tool) }, { execution: plain }),
  web_search_call: ofUpstream({ action: data }),
});

/** One item. Messages and references may leave their type out. */
export const inputItem: Reader = (value, at, found) => {
  const item = objectAt(value, at);
  if ((item['type'] ?? null) !== null) typedItem(item, at, found);
  else if ('role' in item || 'content' in item) message(item, at, found);
  else if ('id' in item) reference(item, at, found);
  else refuseType(at);
};
