import { z } from 'zod';
import {
  contentText,
  contentTokens,
  DEMO_MODEL,
  scriptReply,
  type Ask,
  type Reply,
} from './model-reply.ts';
import type { Answer, JsonAnswer } from './model-wire.ts';
import { openaiError, readRequest } from './openai-request.ts';

const messageSchema = z.looseObject({
  role: z.enum(['developer', 'system', 'user', 'assistant', 'tool', 'function']),
  content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
  tool_calls: z.array(z.unknown()).nullish(),
});

const chatSchema = z.looseObject({
  model: z.string(),
  messages: z.array(messageSchema).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.string(),
        function: z
          .looseObject({ name: z.string(), parameters: z.unknown().optional() })
          .optional(),
      }),
    )
    .nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ function: z.looseObject({ name: z.string() }).optional() }),
    ])
    .nullish(),
});

type Chat = z.infer<typeof chatSchema>;

interface Head {
  id: string;
  created: number;
}

/** Answers `POST /v1/chat/completions`. */
export function answerChat(body: unknown, number: number): Answer {
  const read = readRequest(chatSchema, body);
  if ('refused' in read) return read.refused;
  const chat = read.request;
  if (chat.stream_options && chat.stream !== true) {
    const message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
    return openaiError(400, message, 'stream_options', null);
  }
  if (typeof chat.max_tokens === 'number' && typeof chat.max_completion_tokens === 'number') {
    const message =
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
    return openaiError(400, message, 'max_tokens', 'invalid_parameter_combination');
  }
  const head: Head = {
    id: `chatcmpl-demo${String(number).padStart(8, '0')}`,
    created: Math.floor(Date.now() / 1000),
  };
  const reply = scriptReply(askOf(chat));
  return chat.stream === true
    ? { frames: frames(chat, reply, head) }
    : { status: 200, body: completion(chat, reply, head) };
}

/** Answers `GET /v1/models` in OpenAI's shape. */
export function openaiModels(): JsonAnswer {
  const model = { id: DEMO_MODEL, object: 'model', created: 1_780_272_000, owned_by: 'sallyport' };
  return { status: 200, body: { object: 'list', data: [model] } };
}

function askOf(chat: Chat): Ask {
  const tools = (chat.tools ?? []).flatMap(({ function: described }) =>
    described ? [{ name: described.name, schema: described.parameters }] : [],
  );
  return {
    messages: chat.messages.length,
    lastUserText: contentText(chat.messages.findLast(({ role }) => role === 'user')?.content),
    tools,
    toolChoice: toolChoiceOf(chat.tool_choice),
    afterToolResult: chat.messages.at(-1)?.role === 'tool',
    stop: typeof chat.stop === 'string' ? [chat.stop] : (chat.stop ?? []),
    maxTokens: chat.max_completion_tokens ?? chat.max_tokens ?? undefined,
  };
}

function toolChoiceOf(choice: Chat['tool_choice']): Ask['toolChoice'] {
  if (choice === 'none') return 'never';
  if (choice === 'required') return 'must';
  if (choice && typeof choice === 'object') return choice.function ?? 'auto';
  return 'auto';
}

function usageOf(chat: Chat, reply: Reply) {
  const prompt =
    chat.messages.reduce(
      (sum, { content, tool_calls }) => sum + contentTokens(content) + contentTokens(tool_calls),
      0,
    ) + (chat.tools?.length ? contentTokens(JSON.stringify(chat.tools)) : 0);
  const completionTokens = reply.pieces.length * (chat.n ?? 1);
  return {
    prompt_tokens: prompt,
    completion_tokens: completionTokens,
    total_tokens: prompt + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

function finishReason(reply: Reply): string {
  if (reply.end === 'length') return 'length';
  return reply.tool === undefined ? 'stop' : 'tool_calls';
}

function completion(chat: Chat, reply: Reply, head: Head): object {
  const choices = Array.from({ length: chat.n ?? 1 }, (_, index) => ({
    index,
    message:
      reply.tool === undefined
        ? { role: 'assistant', content: reply.pieces.join(''), refusal: null }
        : {
            role: 'assistant',
            content: null,
            refusal: null,
            tool_calls: [
              {
                id: callId(head, index),
                type: 'function',
                function: { name: reply.tool, arguments: reply.pieces.slice(1).join('') },
              },
            ],
          },
    logprobs: null,
    finish_reason: finishReason(reply),
  }));
  return {
    ...head,
    object: 'chat.completion',
    model: DEMO_MODEL,
    choices,
    usage: usageOf(chat, reply),
    system_fingerprint: 'fp_demo',
  };
}

function callId(head: Head, index: number): string {
  return `call_${head.id.slice('chatcmpl-'.length)}_${index}`;
}

/** The choices of `n` take turns, as they do upstream: a reader that assumes one after the other fails here. */
function* frames(chat: Chat, reply: Reply, head: Head): Generator<string> {
  const withUsage = chat.stream_options?.include_usage === true;
  const frame = (choices: object[], usage: object | null = null): string =>
    `data: ${JSON.stringify({
      ...head,
      object: 'chat.completion.chunk',
      model: DEMO_MODEL,
      system_fingerprint: 'fp_demo',
      choices,
      ...(withUsage ? { usage } : {}),
    })}\n\n`;
  const delta = (index: number, change: object, finish: string | null = null): string =>
    frame([{ index, delta: change, logprobs: null, finish_reason: finish }]);
  const choices = Array.from({ length: chat.n ?? 1 }, (_, index) => index);

  for (const index of choices) {
    const content = reply.tool === undefined ? '' : null;
    yield delta(index, { role: 'assistant', content, refusal: null });
  }
  for (const [position, piece] of reply.pieces.entries()) {
    for (const index of choices) {
      if (reply.tool === undefined) yield delta(index, { content: piece });
      else yield delta(index, { tool_calls: [toolDelta(head, index, position, piece)] });
    }
  }
  for (const index of choices) yield delta(index, {}, finishReason(reply));
  if (withUsage) yield frame([], usageOf(chat, reply));
  yield 'data: [DONE]\n\n';
}

function toolDelta(head: Head, index: number, position: number, piece: string): object {
  return position === 0
    ? {
        index: 0,
        id: callId(head, index),
        type: 'function',
        function: { name: piece, arguments: '' },
      }
    : { index: 0, function: { arguments: piece } };
}
