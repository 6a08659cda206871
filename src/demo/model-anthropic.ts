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

const promptSchema = z.looseObject({
  model: z.string(),
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'assistant']), content: contentSchema }))
    .min(1),
  system: contentSchema.optional(),
  tools: z
    .array(z.looseObject({ name: z.string().optional(), input_schema: z.unknown().optional() }))
    .optional(),
  tool_choice: z
    .looseObject({ type: z.enum(['auto', 'any', 'tool', 'none']), name: z.string().optional() })
    .optional(),
});

type Prompt = z.infer<typeof promptSchema>;

const messagesSchema = promptSchema.extend({
  max_tokens: z.int().min(1),
  stream: z.boolean().optional(),
  stop_sequences: z.array(z.string()).optional(),
  thinking: z.looseObject({ type: z.enum(['enabled', 'adaptive', 'disabled']) }).optional(),
});

type Messages = z.infer<typeof messagesSchema>;

/** What a script has to think about, a token each. It is not counted against `max_tokens`. */
const THOUGHTS = ['The', ' last', ' words', ' decide', '.'];

/** Answers `POST /v1/messages`. `body` is undefined when it was not JSON. */
export function answerMessages(body: unknown, number: number): Answer {
  const request = readRequest(messagesSchema, body);
  if ('status' in request) return request;
  const { thinking, stream } = request.asked;
  const answer: Answered = {
    id: `demo${String(number).padStart(8, '0')}`,
    reply: scriptReply(askOf(request.asked)),
    thoughts: thinking === undefined || thinking.type === 'disabled' ? [] : THOUGHTS,
    inputTokens: inputTokensOf(request.asked),
  };
  return stream === true ? { frames: frames(answer) } : { status: 200, body: messageOf(answer) };
}

/** Answers `POST /v1/messages/count_tokens`: what a message with the same prompt would be charged as input. */
export function answerCountTokens(body: unknown): JsonAnswer {
  const request = readRequest(promptSchema, body);
  if ('status' in request) return request;
  return { status: 200, body: { input_tokens: inputTokensOf(request.asked) } };
}

function readRequest<T extends Prompt>(
  schema: z.ZodType<T>,
  body: unknown,
): { asked: T } | JsonAnswer {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return anthropicError(
      400,
      'invalid_request_error',
      'The request body is not a valid JSON object.',
    );
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) {
    const { path, missing, message } = firstComplaint(parsed.error, body);
    const text = `${path.join('.')}: ${missing ? 'Field required' : message}`;
    return anthropicError(400, 'invalid_request_error', text);
  }
  const asked = parsed.data;
  return asked.model === DEMO_MODEL
    ? { asked }
    : anthropicError(404, 'not_found_error', `model: ${asked.model}`);
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

function inputTokensOf(request: Prompt): number {
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

/** All that an answer is made of, whole or streamed. */
interface Answered {
  id: string;
  reply: Reply;
  /** What it thinks before it replies, a token each; empty where nobody asked for thoughts. */
  thoughts: string[];
  inputTokens: number;
}

function messageOf({ id, reply, thoughts, inputTokens }: Answered): object {
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model: DEMO_MODEL,
    content: [...thinkingOf(thoughts), ...contentOf(reply, id)],
    ...endOf(reply),
    usage: usageOf(inputTokens, thoughts.length + reply.pieces.length),
  };
}

const SIGNATURE = 'ZGVtbw==';

function thinkingOf(thoughts: string[]): object[] {
  if (thoughts.length === 0) return [];
  return [{ type: 'thinking', thinking: thoughts.join(''), signature: SIGNATURE }];
}

function contentOf(reply: Reply, id: string): object[] {
  if (reply.pieces.length === 0) return [];
  if (reply.tool === undefined) return [{ type: 'text', text: reply.pieces.join('') }];
  // Arguments that max_tokens cut short are no object: the vendor gives an empty one then.
  const input: unknown = reply.end === 'length' ? {} : JSON.parse(reply.pieces.slice(1).join(''));
  return [{ type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input }];
}

function event(data: { type: string } & Record<string, unknown>): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function* frames({ id, reply, thoughts, inputTokens }: Answered): Generator<string> {
  const { tool, pieces } = reply;
  const outputTokens = thoughts.length + pieces.length;

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
      usage: usageOf(inputTokens, Math.min(1, outputTokens)),
    },
  });
  if (thoughts.length > 0) {
    yield* block(0, { type: 'thinking', thinking: '', signature: '' }, [
      ...thoughts.map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature: SIGNATURE },
    ]);
  }
  const index = Math.min(1, thoughts.length);
  if (tool !== undefined && pieces.length > 0) {
    const input = pieces
      .slice(1)
      .map((partial_json) => ({ type: 'input_json_delta', partial_json }));
    yield* block(index, { type: 'tool_use', id: `toolu_${id}`, name: tool, input: {} }, input);
  } else if (pieces.length > 0) {
    const deltas = pieces.map((text) => ({ type: 'text_delta', text }));
    yield* block(index, { type: 'text', text: '' }, deltas);
  }
  yield event({
    type: 'message_delta',
    delta: endOf(reply),
    usage: { output_tokens: outputTokens },
  });
  yield event({ type: 'message_stop' });
}

function* block(index: number, begin: object, deltas: object[]): Generator<string> {
  yield event({ type: 'content_block_start', index, content_block: begin });
  if (index === 0) yield event({ type: 'ping' });
  for (const delta of deltas) yield event({ type: 'content_block_delta', index, delta });
  yield event({ type: 'content_block_stop', index });
}
