/** Streams of every operation that has them, as the vendors send them, in pieces. */
import type { Operation } from '../../src/core/vocabulary.ts';

export interface SampleStream {
  /** The client's body that asked for it. */
  asked: object;
  /** An event with a piece of the answer. */
  delta(text: string): object;
  /** Events that report usage and model, in the order of the vendor. */
  reports(usage: { inputTokens: number; outputTokens: number }, model: string): object[];
  /** The last event of a stream that is complete: JSON, or a text as it is. */
  terminal: object | string;
  /** The last event of one that failed. */
  error: object;
}

const chunk = (choices: object[], more: object = {}): object => ({
  id: 'c',
  model: '',
  choices,
  ...more,
});

const chunks = (asked: object, delta: (text: string) => object): SampleStream => ({
  asked,
  delta: (text) => chunk([delta(text)], { usage: null }),
  reports: ({ inputTokens, outputTokens }, model) => [
    chunk([{ index: 0, delta: {}, finish_reason: 'stop' }], { model }),
    chunk([], { model, usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens } }),
  ],
  terminal: '[DONE]',
  error: { error: { message: 'It failed.', type: 'server_error' } },
});

const STREAMS: Partial<Record<Operation, SampleStream>> = {
  'chat.completions': chunks({ stream_options: { include_usage: true } }, (content) => ({
    index: 0,
    delta: { content },
  })),
  completions: chunks({}, (text) => ({ index: 0, text })),
  responses: {
    asked: {},
    delta: (delta) => ({ type: 'response.output_text.delta', delta }),
    reports: ({ inputTokens, outputTokens }, model) => [
      {
        type: 'response.in_progress',
        response: {
          model,
          usage: { input_tokens: inputTokens, output_tokens: outputTokens },
        },
      },
    ],
    terminal: { type: 'response.completed', response: { status: 'completed' } },
    error: { type: 'response.failed', response: { status: 'failed' } },
  },
  messages: {
    asked: {},
    delta: (text) => ({ type: 'content_block_delta', delta: { type: 'text_delta', text } }),
    reports: ({ inputTokens, outputTokens }, model) => [
      {
        type: 'message_start',
        message: { model, usage: { input_tokens: inputTokens, output_tokens: 1 } },
      },
      { type: 'message_delta', delta: {}, usage: { output_tokens: outputTokens } },
    ],
    terminal: { type: 'message_stop' },
    error: { type: 'error', error: { type: 'api_error', message: 'It failed.' } },
  },
};

/** @throws for an operation that generates and has no sample here */
export function sampleStreamOf(name: Operation): SampleStream {
  const sample = STREAMS[name];
  if (!sample) throw new Error(`"${name}" has no sample stream.`);
  return sample;
}
