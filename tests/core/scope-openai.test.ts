import { describe, expect, test } from 'vitest';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';
import { inspectOpenaiChat } from '../../src/core/scope/openai-chat.ts';
import { nested } from '../support/bodies.ts';

const USER = { role: 'user', content: 'Hello' };

const inspect = (changes: JsonObject): ReturnType<typeof inspectOpenaiChat> =>
  inspectOpenaiChat({ model: 'm', messages: [USER], ...changes });

const withMessage = (message: JsonObject): JsonObject => ({ messages: [message, USER] });
const withPart = (part: JsonObject): JsonObject => withMessage({ role: 'user', content: [part] });

/** The features found, as `feature at field`. */
const uses = (changes: JsonObject): string[] =>
  inspect(changes).uses.map(({ feature, field }) => `${feature} at ${field}`);

describe('what needs no feature', () => {
  test('a plain question', () => {
    expect(inspect({})).toEqual({
      model: 'm',
      stream: false,
      uses: [],
      n: 1,
      maxOutputTokens: null,
      unknownFields: [],
      mediaParts: 0,
    });
  });

  test.each<JsonObject>([
    { temperature: 0.2, top_p: 1, seed: 7, stop: ['x'], user: 'u', presence_penalty: 1 },
    { stream: false, logprobs: false, store: false },
    { modalities: ['text'], response_format: { type: 'text' } },
    { stream_options: { include_usage: true, include_obfuscation: false } },
    { tools: null, audio: null, store: null, logit_bias: null, stream: null, n: null },
    withMessage({ role: 'assistant', content: null, refusal: null, tool_calls: null }),
    withPart({ type: 'text', text: 'x' }),
  ])('%j', (changes) => {
    expect(inspect(changes)).toMatchObject({ uses: [], unknownFields: [] });
  });
});

describe('what uses a feature', () => {
  test.each<[JsonObject, string]>([
    [{ stream: true }, 'streaming at stream'],
    [withMessage({ role: 'system', content: 'x' }), 'systemPrompt at messages.0.role'],
    [withMessage({ role: 'developer', content: 'x' }), 'systemPrompt at messages.0.role'],
    [{ tools: [] }, 'tools at tools'],
    [{ tool_choice: 'none' }, 'tools at tool_choice'],
    [{ parallel_tool_calls: false }, 'tools at parallel_tool_calls'],
    [{ functions: [] }, 'tools at functions'],
    [{ function_call: 'auto' }, 'tools at function_call'],
    [withMessage({ role: 'tool', content: 'x' }), 'tools at messages.0.role'],
    [withMessage({ role: 'assistant', tool_calls: [] }), 'tools at messages.0.tool_calls'],
    [{ web_search_options: {} }, 'hostedTools at web_search_options'],
    [{ logprobs: true }, 'logprobs at logprobs'],
    [{ logprobs: 1 }, 'logprobs at logprobs'],
    [{ top_logprobs: 0 }, 'logprobs at top_logprobs'],
    [{ logit_bias: {} }, 'logitBias at logit_bias'],
    [{ reasoning_effort: 'low' }, 'reasoning at reasoning_effort'],
    [{ response_format: { type: 'json_schema' } }, 'structuredOutput at response_format'],
    [{ response_format: {} }, 'structuredOutput at response_format'],
    [{ modalities: ['text', 'audio'] }, 'audio at modalities'],
    [{ modalities: [] }, 'audio at modalities'],
    [{ audio: {} }, 'audio at audio'],
    [withMessage({ role: 'assistant', audio: { id: 'a' } }), 'audio at messages.0.audio'],
    [{ prediction: {} }, 'prefill at prediction'],
    [{ messages: [USER, { role: 'assistant', content: 'Sure' }] }, 'prefill at messages.1'],
    [{ store: true }, 'stateful at store'],
    [{ store: 'true' }, 'stateful at store'],
    [{ metadata: {} }, 'stateful at metadata'],
    [withPart({ type: 'image_url', image_url: {} }), 'images at messages.0.content.0'],
    [withPart({ type: 'input_audio' }), 'audio at messages.0.content.0'],
    [withPart({ type: 'file', file: { file_data: 'x' } }), 'files at messages.0.content.0'],
  ])('%j: %s', (changes, expected) => {
    expect(uses(changes)).toEqual([expected]);
  });

  test('a tool that the upstream carries out, among those that the client does', () => {
    const tools = [{ type: 'function' }, { type: 'custom' }, { type: 'web_search' }, {}];
    expect(uses({ tools })).toEqual([
      'tools at tools',
      'hostedTools at tools.2',
      'hostedTools at tools.3',
    ]);
  });

  test('a file by its id reaches what lies with the upstream', () => {
    expect(uses(withPart({ type: 'file', file: { file_id: 'file-1' } }))).toEqual([
      'files at messages.0.content.0',
      'stateful at messages.0.content.0.file.file_id',
    ]);
  });

  test('every part that costs more than its length is counted', () => {
    const content = [{ type: 'image_url' }, { type: 'text' }, { type: 'file' }];
    expect(inspect({ messages: [{ role: 'user', content }, USER] }).mediaParts).toBe(2);
  });
});

describe('what this gateway does not know is named', () => {
  test.each<[JsonObject, string]>([
    [{ surprise: 1 }, 'surprise'],
    [{ service_tier: 'x' }, 'service_tier'],
    [{ Tools: [] }, 'Tools'],
    [{ stream_options: { other: 1 } }, 'stream_options.other'],
    [withMessage({ role: 'user', content: 'x', cache: 1 }), 'messages.0.cache'],
    [withPart({ type: 'hologram' }), 'messages.0.content.0.type'],
    [withPart({}), 'messages.0.content.0.type'],
    [{ 'evil\nname': 1 }, '(unprintable name)'],
    [{ ['x'.repeat(65)]: 1 }, '(unprintable name)'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes).unknownFields).toEqual([expected]);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'a field named %s, which every object has, is unknown and no feature',
    (name) => {
      const body = JSON.parse(
        `{"model":"m","messages":[{"role":"user","content":[{"type":"${name}"}],"${name}":1}],"${name}":[]}`,
      ) as JsonObject;
      expect(inspectOpenaiChat(body)).toMatchObject({
        uses: [],
        unknownFields: [name, `messages.0.${name}`, 'messages.0.content.0.type'],
      });
    },
  );

  test('a message cannot have its role from its prototype', () => {
    const body = JSON.parse(
      '{"model":"m","messages":[{"__proto__":{"role":"user"}}]}',
    ) as JsonObject;
    expect(() => inspectOpenaiChat(body)).toThrow(MalformedBody);
  });
});

describe('what is not of the right shape', () => {
  test.each<[JsonObject, string]>([
    [{ model: '' }, 'model'],
    [{ model: 7 }, 'model'],
    [{ model: ['m'] }, 'model'],
    [{ messages: undefined }, 'messages'],
    [{ messages: {} }, 'messages'],
    [{ messages: ['hi'] }, 'messages.0'],
    [{ messages: [[USER]] }, 'messages.0'],
    [{ messages: [{ role: 'god', content: 'x' }] }, 'messages.0.role'],
    [{ messages: [{ content: 'x' }] }, 'messages.0.role'],
    [withMessage({ role: 'user', content: 7 }), 'messages.0.content'],
    [withMessage({ role: 'user', content: {} }), 'messages.0.content'],
    [withMessage({ role: 'user', content: ['x'] }), 'messages.0.content.0'],
    [{ tools: {} }, 'tools'],
    [{ tools: ['x'] }, 'tools.0'],
    [{ stream: 'true' }, 'stream'],
    [{ stream: 1 }, 'stream'],
    [{ stream_options: true }, 'stream_options'],
    [{ response_format: 'json' }, 'response_format'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });

  test.each(['n', 'max_tokens', 'max_completion_tokens'])('%s that is no count', (field) => {
    for (const value of [0, -1, 1.5, '5', 1e308, Number.MAX_SAFE_INTEGER + 1, true, [5], {}])
      expect(() => inspect({ [field]: value })).toThrow(MalformedBody);
  });

  test('nesting deeper than any request means', () => {
    for (const body of [
      { tools: [{ type: 'function', function: nested(100_000) }] },
      withPart({ type: 'text', text: nested(100_000) }),
      { stop: nested(200) },
    ])
      expect(() => inspect(body)).toThrow(/nested too deeply/);
    expect(inspect({ stop: nested(100) }).unknownFields).toEqual([]);
  });
});

test('of two names for the maximum, the larger counts', () => {
  expect(inspect({ max_tokens: 10 }).maxOutputTokens).toBe(10);
  expect(inspect({ max_tokens: 10, max_completion_tokens: 500 }).maxOutputTokens).toBe(500);
  expect(inspect({ max_tokens: 900, max_completion_tokens: 500 }).maxOutputTokens).toBe(900);
  expect(inspect({ max_tokens: null, max_completion_tokens: 5 }).maxOutputTokens).toBe(5);
});
