import { describe, expect, test } from 'vitest';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';
import { inspectChatCompletions } from '../../src/core/scope/chat-completions.ts';

const USER = { role: 'user', content: 'Hello' };

const inspect = (changes: JsonObject): ReturnType<typeof inspectChatCompletions> =>
  inspectChatCompletions({ model: 'm', messages: [USER], ...changes });

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
      answers: 1,
      maxOutputTokens: null,
      unknownFields: [],
      mediaParts: 0,
      messages: 1,
      tools: false,
    });
  });

  test.each<JsonObject>([
    { temperature: 0.2, top_p: 1, seed: 7, stop: ['x'], user: 'u', presence_penalty: 1 },
    { stream: false, logprobs: false, store: false },
    { modalities: ['text'], response_format: { type: 'text' } },
    { stream_options: { include_usage: true, include_obfuscation: false } },
    { tools: null, audio: null, store: null, logit_bias: null, stream: null, n: null },
    { service_tier: 'auto', prompt_cache_key: 'k', safety_identifier: 's', verbosity: 'low' },
    { service_tier: 'default', prompt_cache_retention: 'in_memory', add_generation_prompt: true },
    { prompt_cache_options: { mode: 'explicit' }, stop: ['a', 'b'], stop_token_ids: [1] },
    { min_p: 0.1, top_k: 5, repetition_penalty: 1.1, ignore_eos: true, min_tokens: 1 },
    { stream_options: { continuous_usage_stats: true } },
    withMessage({ role: 'assistant', content: null, refusal: null, tool_calls: null }),
    withMessage({ role: 'assistant', content: 'x', tool_calls: [], annotations: [] }),
    withMessage({
      role: 'assistant',
      annotations: [
        {
          type: 'url_citation',
          url_citation: { url: 'u', title: 't', start_index: 0, end_index: 1 },
        },
      ],
    }),
    withPart({ type: 'text', text: 'x', prompt_cache_breakpoint: { mode: 'explicit' } }),
    withPart({ type: 'refusal', refusal: 'x' }),
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
    [
      withMessage({ role: 'assistant', tool_calls: [{ type: 'function' }] }),
      'tools at messages.0.tool_calls',
    ],
    [
      withMessage({ role: 'assistant', function_call: { name: 'f', arguments: '{}' } }),
      'tools at messages.0.function_call',
    ],
    [{ web_search_options: {} }, 'hostedTools at web_search_options'],
    [{ logprobs: true }, 'logprobs at logprobs'],
    [{ logprobs: 1 }, 'logprobs at logprobs'],
    [{ top_logprobs: 0 }, 'logprobs at top_logprobs'],
    [{ prompt_logprobs: 1 }, 'logprobs at prompt_logprobs'],
    [{ logit_bias: { 50256: -100 } }, 'logitBias at logit_bias'],
    [{ bad_words: ['x'] }, 'logitBias at bad_words'],
    [{ allowed_token_ids: [1] }, 'logitBias at allowed_token_ids'],
    [{ guided_json: { any: { key: 1 } } }, 'structuredOutput at guided_json'],
    [{ reasoning_effort: 'low' }, 'reasoning at reasoning_effort'],
    [{ include_reasoning: true }, 'reasoning at include_reasoning'],
    [
      { chat_template_kwargs: { enable_thinking: false } },
      'reasoning at chat_template_kwargs.enable_thinking',
    ],
    [
      withMessage({ role: 'assistant', reasoning_content: 'x' }),
      'reasoning at messages.0.reasoning_content',
    ],
    [{ response_format: { type: 'json_schema' } }, 'structuredOutput at response_format'],
    [{ modalities: ['text', 'audio'] }, 'audio at modalities'],
    [{ modalities: [] }, 'audio at modalities'],
    [{ audio: {} }, 'audio at audio'],
    [
      { prediction: { type: 'content', content: [{ type: 'text', text: 'x' }] } },
      'prefill at prediction',
    ],
    [{ continue_final_message: true }, 'prefill at continue_final_message'],
    [{ add_generation_prompt: false }, 'prefill at add_generation_prompt'],
    [{ messages: [USER, { role: 'assistant', content: 'Sure' }] }, 'prefill at messages.1'],
    [{ store: true }, 'stateful at store'],
    [{ store: 'true' }, 'stateful at store'],
    [{ metadata: { any: 'key' } }, 'stateful at metadata'],
    [{ prompt_cache_retention: '24h' }, 'stateful at prompt_cache_retention'],
    [{ prompt_cache_options: { ttl: '30m' } }, 'stateful at prompt_cache_options.ttl'],
    [withPart({ type: 'image_url', image_url: {} }), 'images at messages.0.content.0'],
    [withPart({ type: 'input_audio' }), 'audio at messages.0.content.0'],
    [withPart({ type: 'file', file: { file_data: 'x' } }), 'files at messages.0.content.0'],
  ])('%j: %s', (changes, expected) => {
    expect(uses(changes)).toEqual([expected]);
  });

  test('the beginning of the answer, with nothing but system messages behind it', () => {
    const assistant = { role: 'assistant', content: 'Sure' };
    for (const role of ['system', 'developer'])
      expect(uses({ messages: [USER, assistant, { role, content: '' }] })).toContain(
        'prefill at messages.1',
      );
    expect(uses({ messages: [USER, assistant, { role: 'system', content: 'x' }, USER] })).toEqual([
      'systemPrompt at messages.2.role',
    ]);
  });

  test('what is named by its id reaches what lies with the upstream', () => {
    expect(uses(withPart({ type: 'file', file: { file_id: 'file-1' } }))).toEqual([
      'files at messages.0.content.0',
      'stateful at messages.0.content.0.file.file_id',
    ]);
    expect(uses(withMessage({ role: 'assistant', audio: { id: 'a' } }))).toEqual([
      'audio at messages.0.audio',
      'stateful at messages.0.audio.id',
    ]);
    expect(uses({ audio: { format: 'wav', voice: { id: 'v' } } })).toEqual([
      'audio at audio',
      'stateful at audio.voice.id',
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
    [{ surprise: null }, 'surprise'],
    [{ service_tier: 'priority' }, 'service_tier'],
    [{ service_tier: 'flex' }, 'service_tier'],
    // It would have the input read by a model that nobody has pinned.
    [{ moderation: { model: 'm' } }, 'moderation'],
    [{ chat_template_kwargs: { other: 1 } }, 'chat_template_kwargs.other'],
    [{ prompt_cache_options: { scope: 'all' } }, 'prompt_cache_options.scope'],
    [{ web_search_options: { depth: 1 } }, 'web_search_options.depth'],
    [
      { web_search_options: { user_location: { approximate: { street: 'x' } } } },
      'web_search_options.user_location.approximate.street',
    ],
    [{ response_format: { type: 'json_object', strict: true } }, 'response_format.strict'],
    [
      { response_format: { type: 'json_schema', json_schema: { schema: { x: 1 }, x: 1 } } },
      'response_format.json_schema.x',
    ],
    [{ audio: { voice: { url: 'x' } } }, 'audio.voice.url'],
    [{ prediction: { type: 'content', extra: 1 } }, 'prediction.extra'],
    [{ tools: [{ type: 'function', cache: 1 }] }, 'tools.0.cache'],
    [{ tools: [{ type: 'function', function: { remote: 'x' } }] }, 'tools.0.function.remote'],
    [{ tools: [{ type: 'custom', custom: { url: 'x' } }] }, 'tools.0.custom.url'],
    [
      { tools: [{ type: 'custom', custom: { format: { type: 'grammar', grammar: { x: 1 } } } }] },
      'tools.0.custom.format.grammar.x',
    ],
    [{ functions: [{ name: 'f', url: 'x' }] }, 'functions.0.url'],
    [{ function_call: { name: 'f', url: 'x' } }, 'function_call.url'],
    [
      { tool_choice: { type: 'function', function: { name: 'f', x: 1 } } },
      'tool_choice.function.x',
    ],
    [
      withMessage({
        role: 'assistant',
        tool_calls: [{ type: 'function', function: { url: 'x' } }],
      }),
      'messages.0.tool_calls.0.function.url',
    ],
    [withMessage({ role: 'assistant', audio: { url: 'x' } }), 'messages.0.audio.url'],
    [withMessage({ role: 'user', content: 'x', cache: null }), 'messages.0.cache'],
    [
      withPart({ type: 'text', text: 'x', cache_control: {} }),
      'messages.0.content.0.cache_control',
    ],
    [
      withPart({ type: 'image_url', image_url: { url: 'u', foo: 1 } }),
      'messages.0.content.0.image_url.foo',
    ],
    [
      withPart({ type: 'input_audio', input_audio: { url: 'u' } }),
      'messages.0.content.0.input_audio.url',
    ],
    [withPart({ type: 'file', file: { url: 'u' } }), 'messages.0.content.0.file.url'],
    [{ Tools: [] }, 'Tools'],
    [{ stream_options: { other: 1 } }, 'stream_options.other'],
    [withMessage({ role: 'user', content: 'x', cache: 1 }), 'messages.0.cache'],
    [{ 'evil\nname': 1 }, '(unprintable name)'],
    [{ ['x'.repeat(65)]: 1 }, '(unprintable name)'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes).unknownFields).toEqual([expected]);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'a field named %s, which every object has, is unknown and no feature',
    (name) => {
      const body = JSON.parse(
        `{"model":"m","messages":[{"role":"user","content":[{"type":"text","${name}":1}],"${name}":1}],"${name}":[]}`,
      ) as JsonObject;
      expect(inspectChatCompletions(body)).toMatchObject({
        uses: [],
        unknownFields: [name, `messages.0.content.0.${name}`, `messages.0.${name}`],
      });
    },
  );

  test('up to a handful, however many there are', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`x${i}`, i]));
    const { unknownFields } = inspect(many);
    expect(unknownFields[0]).toBe('x0');
    expect(unknownFields.length).toBeLessThan(10);
  });

  test('but what the client describes in JSON can have any keys', () => {
    const schema = { type: 'object', properties: { anything: { 'x-own': [{}] } } };
    const body = {
      tools: [{ type: 'function', function: { name: 'f', parameters: schema, strict: true } }],
      response_format: { type: 'json_schema', json_schema: { name: 's', schema } },
      metadata: { whatever: '1' },
      messages: [
        {
          role: 'assistant',
          tool_calls: [
            { id: 'c', type: 'function', function: { name: 'f', arguments: '{"any":1}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'c', content: '{"any":1}' },
      ],
    };
    expect(inspect(body).unknownFields).toEqual([]);
  });

  test('a message cannot have its role from its prototype', () => {
    const body = JSON.parse(
      '{"model":"m","messages":[{"__proto__":{"role":"user"}}]}',
    ) as JsonObject;
    expect(() => inspectChatCompletions(body)).toThrow(MalformedBody);
  });
});

describe('a type that this gateway does not know is refused, whatever the grant passes', () => {
  test.each<[JsonObject, string]>([
    [withPart({ type: 'hologram' }), 'messages.0.content.0.type'],
    // Servers that go by the other keys would fetch it.
    [withPart({ image_url: { url: 'u' } }), 'messages.0.content.0.type'],
    [withPart({ type: null, image_url: { url: 'u' } }), 'messages.0.content.0.type'],
    [withPart({ type: 'video_url', video_url: { url: 'u' } }), 'messages.0.content.0.type'],
    [withPart({ type: 'input_image', image_url: 'u' }), 'messages.0.content.0.type'],
    [
      withMessage({ role: 'assistant', tool_calls: [{ type: 'web_search' }] }),
      'messages.0.tool_calls.0.type',
    ],
    [{ tools: [{ type: 'function' }, { type: 'custom' }, { type: 'web_search' }] }, 'tools.2.type'],
    [{ tools: [{}] }, 'tools.0.type'],
    [{ tool_choice: { type: 'web_search' } }, 'tool_choice.type'],
    [
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: {
            mode: 'auto',
            tools: [{ type: 'function', function: { name: 'f' } }, { type: 'mcp' }],
          },
        },
      },
      'tool_choice.allowed_tools.tools.1.type',
    ],
    [{ response_format: {} }, 'response_format.type'],
    [{ response_format: { type: 'grammar' } }, 'response_format.type'],
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map(
      (type): [JsonObject, string] => [withPart({ type }), 'messages.0.content.0.type'],
    ),
  ])('%j: %s', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
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
    [{ temperature: { hidden: 1 } }, 'temperature'],
    [{ stop: [{ hidden: 1 }] }, 'stop.0'],
    [{ store: { hidden: 1 } }, 'store'],
    [withPart({ type: 'text', text: { hidden: 1 } }), 'messages.0.content.0.text'],
    [{ tools: [{ type: 'function', function: [] }] }, 'tools.0.function'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });

  test.each(['n', 'max_tokens', 'max_completion_tokens'])('%s that is no count', (field) => {
    for (const value of [0, -1, 1.5, '5', 1e308, Number.MAX_SAFE_INTEGER + 1, true, [5], {}])
      expect(() => inspect({ [field]: value })).toThrow(MalformedBody);
  });
});

test('of two names for the maximum, the larger counts', () => {
  expect(inspect({ max_tokens: 10 }).maxOutputTokens).toBe(10);
  expect(inspect({ max_tokens: 10, max_completion_tokens: 500 }).maxOutputTokens).toBe(500);
  expect(inspect({ max_tokens: 900, max_completion_tokens: 500 }).maxOutputTokens).toBe(900);
  expect(inspect({ max_tokens: null, max_completion_tokens: 5 }).maxOutputTokens).toBe(5);
});
