import { z } from 'zod';
import {
  contentText,
  contentTokens,
  DEMO_MODEL,
  scriptReply,
  type Ask,
  type Reply,
} from './model-reply.ts';
import { firstComplaint, type Answer, type JsonAnswer } from './model-wire.ts';

const contentSchema = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]);

const messagesSchema = z.looseObject({
  model: z.string(),
  max_tokens: z.int().min(1),
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'assistant']), content: contentSchema }))
    .min(1),
  system: contentSchema.optional(),
  stream: z.boolean().optional(),
  stop_sequences: z.array(z.string()).optional(),
  tools: z
    .array(z.looseObject({ name: z.string().optional(), input_schema: z.unknown().optional() }))
    .optional(),
  tool_choice: z
    .looseObject({ type: z.enum(['auto', 'any', 'tool', 'none']), name: z.string().optional() })
    .optional(),
});

type Messages = z.infer<typeof messagesSchema>;

/** Answers `POST /v1/messages`. `body` is undefined when it was not JSON. */
export function answerMessages(body: unknown, number: number): Answer {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return anthropicError(
      400,
      'invalid_request_error',
      'The request body is not a valid JSON object.',
    );
  }
  const parsed = messagesSchema.safeParse(body);
  if (!parsed.success) {
    const { path, missing, message } = firstComplaint(parsed.error, body);
    const text = `${path.join('.')}: ${missing ? 'Field required' : message}`;
    return anthropicError(400, 'invalid_request_error', text);
  }
  const request = parsed.data;
  if (request.model !== DEMO_MODEL) {
    return anthropicError(404, 'not_found_error', `model: ${request.model}`);
  }
  const id = `demo${String(number).padStart(8, '0')}`;
  const reply = scriptReply(askOf(request));
  const inputTokens = inputTokensOf(request);
  return request.stream === true
    ? { frames: frames(reply, id, inputTokens) }
    : { status: 200, body: messageOf(reply, id, inputTokens) };
}

/** An error in Anthropic's shape; the server adds the request id. */
export function anthropicError(status: number, type: string, text: string): JsonAnswer {
  return { status, body: { type: 'error', error: { type, message: text } } };
}

/** Answers `GET /v1/models` in Anthropic's shape. */
export function anthropicModels(): JsonAnswer {
  const model = {
    type: 'model',
    id: DEMO_MODEL,
    display_name: 'Sallyport demo model',
    created_at: '2026-06-01T00:00:00Z',
  };
  return {
    status: 200,
    body: { data: [model], has_more: false, first_id: DEMO_MODEL, last_id: DEMO_MODEL },
  };
}

function askOf(request: Messages): Ask {
  const users = request.messages.filter(({ role }) => role === 'user');
  const texts = users.map(({ content }) => contentText(content));
  const last = request.messages.at(-1)?.content;
  return {
    messages: request.messages.length,
    // A user message that only carries tool results has no words of its own.
    lastUserText: texts.findLast((text) => text !== '') ?? '',
    // A tool without a schema is one the vendor hosts; the script runs nothing.
    tools: (request.tools ?? []).flatMap(({ name, input_schema }) =>
      name !== undefined && input_schema !== undefined ? [{ name, schema: input_schema }] : [],
    ),
    toolChoice: toolChoiceOf(request.tool_choice),
    afterToolResult: Array.isArray(last) && last.some(({ type }) => type === 'tool_result'),
    stop: request.stop_sequences ?? [],
    maxTokens: request.max_tokens,
  };
}

function toolChoiceOf(choice: Messages['tool_choice']): Ask['toolChoice'] {
  if (choice?.type === 'none') return 'never';
  if (choice?.type === 'any') return 'must';
  if (choice?.type === 'tool' && choice.name !== undefined) return { name: choice.name };
  return 'auto';
}

function inputTokensOf(request: Messages): number {
  return (
    contentTokens(request.system) +
    request.messages.reduce((sum, { content }) => sum + contentTokens(content), 0) +
    (request.tools?.length ? contentTokens(JSON.stringify(request.tools)) : 0)
  );
}

function usageOf(inputTokens: number, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  };
}

function endOf(reply: Reply): { stop_reason: string; stop_sequence: string | null } {
  if (typeof reply.end === 'object') {
    return { stop_reason: 'stop_sequence', stop_sequence: reply.end.stop };
  }
  if (reply.end === 'length') return { stop_reason: 'max_tokens', stop_sequence: null };
  const complete = reply.tool === undefined ? 'end_turn' : 'tool_use';
  return { stop_reason: complete, stop_sequence: null };
}

function messageOf(reply: Reply, id: string, inputTokens: number): object {
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: DEMO_MODEL,
    content: contentOf(reply, id),
    ...endOf(reply),
    usage: usageOf(inputTokens, reply.pieces.length),
  };
}

function contentOf(reply: Reply, id: string): object[] {
  if (reply.pieces.length === 0) return [];
  if (reply.tool === undefined) return [{ type: 'text', text: reply.pieces.join('') }];
  // Arguments that max_tokens cut short are no object: the vendor gives an empty one then.
  const input: unknown = reply.end === 'length' ? {} : JSON.parse(reply.pieces.slice(1).join(''));
  return [{ type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input }];
}

function* frames(reply: Reply, id: string, inputTokens: number): Generator<string> {
  const event = (data: { type: string } & Record<string, unknown>): string =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
  const { tool, pieces } = reply;

  yield event({
    type: 'message_start',
    message: {
      id: `msg_${id}`,
      type: 'message',
      role: 'assistant',
      model: DEMO_MODEL,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      // As upstream: the first token is already counted here, and again in message_delta's total.
      usage: usageOf(inputTokens, Math.min(1, pieces.length)),
    },
  });
  if (pieces.length > 0) {
    const block =
      tool === undefined
        ? { type: 'text', text: '' }
        : { type: 'tool_use', id: `toolu_${id}`, name: tool, input: {} };
    yield event({ type: 'content_block_start', index: 0, content_block: block });
  }
  yield event({ type: 'ping' });
  for (const piece of tool === undefined ? pieces : pieces.slice(1)) {
    const delta =
      tool === undefined
        ? { type: 'text_delta', text: piece }
        : { type: 'input_json_delta', partial_json: piece };
    yield event({ type: 'content_block_delta', index: 0, delta });
  }
  if (pieces.length > 0) yield event({ type: 'content_block_stop', index: 0 });
  yield event({
    type: 'message_delta',
    delta: endOf(reply),
    usage: { output_tokens: pieces.length },
  });
  yield event({ type: 'message_stop' });
}
