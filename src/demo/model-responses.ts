import { z } from 'zod';
import {
  contentText,
  contentTokens,
  DEMO_MODEL,
  scriptReply,
  type Ask,
  type Reply,
} from './model-reply.ts';
import type { Answer } from './model-wire.ts';
import { openaiError, readRequest } from './openai-request.ts';

const itemSchema = z.looseObject({
  type: z.string().nullish(),
  role: z.string().nullish(),
  content: z.unknown().optional(),
});

const responsesSchema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), z.array(itemSchema)]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  store: z.boolean().nullish(),
  background: z.boolean().nullish(),
  previous_response_id: z.string().nullish(),
  stream: z.boolean().nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.string(),
        name: z.string().optional(),
        parameters: z.unknown().optional(),
      }),
    )
    .nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.string(), name: z.string().optional() }),
    ])
    .nullish(),
});

type Request = z.infer<typeof responsesSchema>;

interface Head {
  /** What the ids of a response and its items end with. */
  id: string;
  createdAt: number;
}

/** Answers `POST /v1/responses`. The script keeps nothing, so there is nothing to go on from. */
export function answerResponses(body: unknown, number: number): Answer {
  const read = readRequest(responsesSchema, body);
  if ('refused' in read) return read.refused;
  const { request } = read;
  if ((request.previous_response_id ?? null) !== null) {
    const message = `Previous response with id '${request.previous_response_id}' not found.`;
    return openaiError(400, message, 'previous_response_id', 'previous_response_not_found');
  }
  if (request.background === true) {
    return openaiError(400, 'Background mode is not supported.', 'background', 'invalid_value');
  }
  const head: Head = {
    id: `demo${String(number).padStart(8, '0')}`,
    createdAt: Math.floor(Date.now() / 1000),
  };
  const reply = scriptReply(askOf(request));
  return request.stream === true
    ? { frames: frames(request, reply, head) }
    : { status: 200, body: ended(request, reply, head) };
}

function askOf(request: Request): Ask {
  const { input } = request;
  const items = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  return {
    messages: items.length,
    lastUserText: contentText(items.findLast(({ role }) => role === 'user')?.content),
    tools: (request.tools ?? []).flatMap(({ type, name, parameters }) =>
      type === 'function' && name !== undefined ? [{ name, schema: parameters }] : [],
    ),
    toolChoice: toolChoiceOf(request.tool_choice),
    afterToolResult: typeof input !== 'string' && input.at(-1)?.type === 'function_call_output',
    stop: [],
    maxTokens: request.max_output_tokens ?? undefined,
  };
}

function toolChoiceOf(choice: Request['tool_choice']): Ask['toolChoice'] {
  if (choice === 'none') return 'never';
  if (choice === 'required') return 'must';
  if (choice && typeof choice === 'object' && choice.name !== undefined)
    return { name: choice.name };
  return 'auto';
}

function usageOf(request: Request, reply: Reply): object {
  const { input, instructions, tools } = request;
  const inputTokens =
    contentTokens(instructions) +
    (typeof input === 'string'
      ? contentTokens(input)
      : input.reduce((sum, { content, ...item }) => sum + contentTokens(content ?? item), 0)) +
    (tools?.length ? contentTokens(JSON.stringify(tools)) : 0);
  const outputTokens = reply.pieces.length;
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + outputTokens,
  };
}

type Status = 'in_progress' | 'completed' | 'incomplete';

function responseOf(request: Request, head: Head, status: Status, parts: object): object {
  return {
    id: `resp_${head.id}`,
    object: 'response',
    created_at: head.createdAt,
    status,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    metadata: {},
    model: DEMO_MODEL,
    parallel_tool_calls: true,
    previous_response_id: null,
    store: request.store ?? true,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: request.tool_choice ?? 'auto',
    tools: request.tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    ...parts,
  };
}

const statusOf = (reply: Reply): Status => (reply.end === 'length' ? 'incomplete' : 'completed');

function ended(request: Request, reply: Reply, head: Head): object {
  const status = statusOf(reply);
  return responseOf(request, head, status, {
    output: [itemOf(reply, head, status)],
    usage: usageOf(request, reply),
  });
}

const textPart = (text: string): object => ({
  type: 'output_text',
  text,
  annotations: [],
  logprobs: [],
});

/** The one item of the answer; as long as it is in progress, there is nothing in it. */
function itemOf({ tool, pieces }: Reply, head: Head, status: Status): object {
  const said = status === 'in_progress' ? [] : pieces;
  if (tool === undefined) {
    const content = status === 'in_progress' ? [] : [textPart(said.join(''))];
    return { id: `msg_${head.id}`, type: 'message', status, role: 'assistant', content };
  }
  return {
    id: `fc_${head.id}`,
    type: 'function_call',
    status,
    call_id: `call_${head.id}`,
    name: tool,
    arguments: said.slice(1).join(''),
  };
}

function* frames(request: Request, reply: Reply, head: Head): Generator<string> {
  let count = 0;
  const event = (type: string, parts: object): string => {
    const numbered = { type, sequence_number: count, ...parts };
    count += 1;
    return `event: ${type}\ndata: ${JSON.stringify(numbered)}\n\n`;
  };
  const begun = { response: responseOf(request, head, 'in_progress', { output: [], usage: null }) };
  const status = statusOf(reply);
  yield event('response.created', begun);
  yield event('response.in_progress', begun);
  yield event('response.output_item.added', {
    output_index: 0,
    item: itemOf(reply, head, 'in_progress'),
  });
  yield* reply.tool === undefined
    ? textFrames(reply.pieces, head, event)
    : callFrames(reply.tool, reply.pieces.slice(1), head, event);
  yield event('response.output_item.done', { output_index: 0, item: itemOf(reply, head, status) });
  yield event(`response.${status}`, { response: ended(request, reply, head) });
}

type EventOf = (type: string, parts: object) => string;

function* textFrames(pieces: string[], head: Head, event: EventOf): Generator<string> {
  const at = { item_id: `msg_${head.id}`, output_index: 0, content_index: 0 };
  yield event('response.content_part.added', { ...at, part: textPart('') });
  for (const delta of pieces)
    yield event('response.output_text.delta', { ...at, delta, logprobs: [] });
  const text = pieces.join('');
  yield event('response.output_text.done', { ...at, text, logprobs: [] });
  yield event('response.content_part.done', { ...at, part: textPart(text) });
}

function* callFrames(
  name: string,
  pieces: string[],
  head: Head,
  event: EventOf,
): Generator<string> {
  const at = { item_id: `fc_${head.id}`, output_index: 0 };
  for (const delta of pieces)
    yield event('response.function_call_arguments.delta', { ...at, delta });
  yield event('response.function_call_arguments.done', {
    ...at,
    name,
    arguments: pieces.join(''),
  });
}
