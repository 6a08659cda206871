/** What is asked and answered in the benchmarks of the proxied path. */

/** Content events of a stream, unless its request says otherwise. */
export const STREAM_CHUNKS = 64;

/** Between two of them. */
export const CHUNK_EVERY_MS = 20;

export const TERMINAL_EVENT = 'data: [DONE]\n\n';

/** Events of a stream: its content, the usage, the terminal event. */
export const eventsOf = (chunks: number): number => chunks + 2;

export interface Asked {
  stream?: boolean;
  /** Content events of a stream. */
  chunks?: number;
  /** Characters of the prompt. */
  promptLength?: number;
}

/** The body of a request. What the upstream looks at comes first. */
export function chatBody(model: string, { stream, chunks, promptLength = 120 }: Asked): string {
  const content = 'Is it true that the sky is green? '.repeat(Math.ceil(promptLength / 34));
  return JSON.stringify({
    model,
    max_tokens: chunks ?? STREAM_CHUNKS,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    messages: [
      { role: 'system', content: 'Answer truthfully.' },
      { role: 'user', content: content.slice(0, promptLength) },
    ],
  });
}

const USAGE = { prompt_tokens: 40, completion_tokens: 64, total_tokens: 104 };

/** The answer to a request that asks for no stream. */
export function chatAnswer(model: string): string {
  return JSON.stringify({
    id: 'chatcmpl-bench00000001',
    object: 'chat.completion',
    created: 1_780_272_000,
    model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'No. On a clear day it is blue. '.repeat(8) },
        finish_reason: 'stop',
      },
    ],
    usage: USAGE,
  });
}

/** One content event of a stream. */
export function contentEvent(model: string, n: number): string {
  const delta = { ...(n === 0 ? { role: 'assistant' } : {}), content: ` word ${n}` };
  return event(model, { choices: [{ index: 0, delta, finish_reason: null }] });
}

/** What follows the last content event: the usage, and the terminal event. */
export const endOfStream = (model: string): string =>
  event(model, { choices: [], usage: USAGE }) + TERMINAL_EVENT;

function event(model: string, rest: object): string {
  const head = { id: 'chatcmpl-bench00000001', object: 'chat.completion.chunk', model };
  return `data: ${JSON.stringify({ ...head, created: 1_780_272_000, ...rest })}\n\n`;
}
