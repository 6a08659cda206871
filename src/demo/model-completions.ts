import { z } from 'zod';
import { DEMO_MODEL, scriptReply, tokenize, type Reply } from './model-reply.ts';
import type { Answer } from './model-wire.ts';
import { inputsOf, openaiError, readRequest, tokensIn, type Input } from './openai-request.ts';

const tokensSchema = z.array(z.int().min(0));

const completionsSchema = z.looseObject({
  model: z.string(),
  prompt: z.union([z.string(), tokensSchema, z.array(z.union([z.string(), tokensSchema]))]),
  max_tokens: z.int().min(0).nullish(),
  n: z.int().min(1).max(128).nullish(),
  echo: z.boolean().nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
});

type Request = z.infer<typeof completionsSchema>;

/** What the API makes where the request does not say how much. */
const USUAL_TOKENS = 16;

/** Of every token alike: a script weighs nothing up. */
const LOG_PROBABILITY = -1;

interface Choice {
  prompt: Input;
  reply: Reply;
}

/** Answers `POST /v1/completions`. */
export function answerCompletions(body: unknown, number: number): Answer {
  const read = readRequest(completionsSchema, body);
  if ('refused' in read) return read.refused;
  const { request } = read;
  if (request.stream_options && request.stream !== true) {
    const message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
    return openaiError(400, message, 'stream_options', null);
  }
  const head = {
    id: `cmpl-demo${String(number).padStart(8, '0')}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: DEMO_MODEL,
  };
  const prompts = inputsOf(request.prompt);
  const choices = prompts.flatMap((prompt) => {
    const reply = replyTo(prompt, request);
    return Array.from({ length: request.n ?? 1 }, (): Choice => ({ prompt, reply }));
  });
  const usage = usageOf(prompts, choices);
  return request.stream === true
    ? { frames: frames(request, choices, head, usage) }
    : {
        status: 200,
        body: {
          ...head,
          choices: choices.map((choice, index) => wholeChoice(request, choice, index)),
          usage,
        },
      };
}

/** The script has no words for tokens: it says how many it got. */
const textOf = (prompt: Input): string =>
  typeof prompt === 'string' ? prompt : `(${prompt.length} tokens)`;

function replyTo(prompt: Input, { stop, max_tokens }: Request): Reply {
  return scriptReply({
    messages: 1,
    lastUserText: textOf(prompt),
    tools: [],
    toolChoice: 'never',
    afterToolResult: false,
    stop: typeof stop === 'string' ? [stop] : (stop ?? []),
    maxTokens: max_tokens ?? USUAL_TOKENS,
  });
}

function usageOf(prompts: Input[], choices: Choice[]): object {
  const inputTokens = prompts.reduce((sum, prompt) => sum + tokensIn(prompt), 0);
  const outputTokens = choices.reduce((sum, { reply }) => sum + reply.pieces.length, 0);
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

const finishOf = ({ end }: Reply): string => (end === 'length' ? 'length' : 'stop');

function piecesOf(request: Request, { prompt, reply }: Choice): string[] {
  return request.echo === true ? [...tokenize(textOf(prompt)), ...reply.pieces] : reply.pieces;
}

function choiceOf(request: Request, pieces: string[], offset: number): object {
  if (typeof request.logprobs !== 'number') return { text: pieces.join(''), logprobs: null };
  let at = offset;
  const text_offset = pieces.map((piece) => {
    at += piece.length;
    return at - piece.length;
  });
  // The first token of a prompt has none: nothing stands before it.
  const isFirst = (i: number): boolean => request.echo === true && offset === 0 && i === 0;
  return {
    text: pieces.join(''),
    logprobs: {
      tokens: pieces,
      text_offset,
      token_logprobs: pieces.map((_piece, i) => (isFirst(i) ? null : LOG_PROBABILITY)),
      top_logprobs: pieces.map((piece, i) => (isFirst(i) ? null : { [piece]: LOG_PROBABILITY })),
    },
  };
}

function wholeChoice(request: Request, choice: Choice, index: number): object {
  const pieces = piecesOf(request, choice);
  return { index, ...choiceOf(request, pieces, 0), finish_reason: finishOf(choice.reply) };
}

/** The choices take turns, as they do upstream. */
function* frames(
  request: Request,
  choices: Choice[],
  head: object,
  usage: object,
): Generator<string> {
  const withUsage = request.stream_options?.include_usage === true;
  const frame = (parts: object[], counted: object | null = null): string =>
    `data: ${JSON.stringify({ ...head, choices: parts, ...(withUsage ? { usage: counted } : {}) })}\n\n`;
  const streams = choices.map((choice) => ({ choice, pieces: piecesOf(request, choice), sent: 0 }));
  const longest = Math.max(...streams.map(({ pieces }) => pieces.length));
  for (let i = 0; i < longest; i += 1) {
    for (const [index, stream] of streams.entries()) {
      const piece = stream.pieces[i];
      if (piece === undefined) continue;
      yield frame([{ index, ...choiceOf(request, [piece], stream.sent), finish_reason: null }]);
      stream.sent += piece.length;
    }
  }
  for (const [index, { choice }] of streams.entries())
    yield frame([{ index, text: '', logprobs: null, finish_reason: finishOf(choice.reply) }]);
  if (withUsage) yield frame([], usage);
  yield 'data: [DONE]\n\n';
}
