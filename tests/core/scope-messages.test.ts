import { describe, expect, test } from 'vitest';
import { inspectMessages } from '../../src/core/scope/messages.ts';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';

const USER = { role: 'user', content: 'Hello' };
const ASSISTANT = { role: 'assistant', content: 'Sure' };

const inspect = (changes: JsonObject): ReturnType<typeof inspectMessages> =>
  inspectMessages({ model: 'm', max_tokens: 10, messages: [USER], ...changes });

const withBlock = (block: JsonObject): JsonObject => ({
  messages: [{ role: 'user', content: [block] }],
});

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
      maxOutputTokens: 10,
      unknownFields: [],
      mediaParts: 0,
      messages: 1,
      tools: false,
    });
  });

  test.each<JsonObject>([
    { temperature: 1, top_p: 1, top_k: 5, stop_sequences: ['x'], cache_control: {} },
    { stream: false, thinking: { type: 'disabled' }, output_config: {} },
    { system: null, tools: null, metadata: null, thinking: null, stream: null },
    { service_tier: 'auto', speed: 'standard' },
    { service_tier: 'standard_only', cache_control: { type: 'ephemeral', ttl: '5m' } },
    withBlock({ type: 'text', text: 'x' }),
    withBlock({
      type: 'text',
      text: 'x',
      cache_control: { type: 'ephemeral' },
      citations: [
        { type: 'char_location', cited_text: 'x', document_index: 0, document_title: 't' },
      ],
    }),
    { messages: [{ role: 'assistant', content: 'x' }, USER] },
  ])('%j', (changes) => {
    expect(inspect(changes)).toMatchObject({ uses: [], unknownFields: [] });
  });
});

describe('what uses a feature', () => {
  test.each<[JsonObject, string]>([
    [{ stream: true }, 'streaming at stream'],
    [{ system: '' }, 'systemPrompt at system'],
    [{ system: [{ type: 'text', text: 'x' }] }, 'systemPrompt at system'],
    [{ messages: [{ role: 'system', content: 'x' }, USER] }, 'systemPrompt at messages.0.role'],
    [{ tools: [] }, 'tools at tools'],
    [{ tool_choice: { type: 'none' } }, 'tools at tool_choice'],
    [{ mcp_servers: [] }, 'hostedTools at mcp_servers'],
    [{ container: 'c' }, 'stateful at container'],
    [{ context_management: {} }, 'stateful at context_management'],
    [{ metadata: {} }, 'stateful at metadata'],
    [{ compaction: { type: 'summarize' } }, 'stateful at compaction'],
    [{ thread: { type: 'continue', previous_message_id: 'm' } }, 'stateful at thread'],
    [{ diagnostics: { previous_message_id: 'm' } }, 'stateful at diagnostics'],
    [{ cache_control: { type: 'ephemeral', ttl: '1h' } }, 'stateful at cache_control.ttl'],
    [{ output_format: {} }, 'structuredOutput at output_format'],
    [{ output_config: { format: {} } }, 'structuredOutput at output_config.format'],
    [{ output_config: { effort: 'low' } }, 'reasoning at output_config.effort'],
    [{ thinking: { type: 'enabled' } }, 'reasoning at thinking'],
    [{ thinking: {} }, 'reasoning at thinking'],
    [{ thinking: { type: 'adaptive', display: 'omitted' } }, 'reasoning at thinking'],
    [
      { output_config: { task_budget: { type: 'tokens', total: 9 } } },
      'reasoning at output_config.task_budget',
    ],
    [{ messages: [USER, ASSISTANT] }, 'prefill at messages.1'],
    [withBlock({ type: 'image' }), 'images at messages.0.content.0'],
    [withBlock({ type: 'document' }), 'files at messages.0.content.0'],
    [withBlock({ type: 'search_result' }), 'files at messages.0.content.0'],
    [withBlock({ type: 'container_upload' }), 'files at messages.0.content.0'],
    [withBlock({ type: 'tool_use' }), 'tools at messages.0.content.0'],
    [withBlock({ type: 'tool_result', content: 'x' }), 'tools at messages.0.content.0'],
    [withBlock({ type: 'thinking' }), 'reasoning at messages.0.content.0'],
    [withBlock({ type: 'redacted_thinking' }), 'reasoning at messages.0.content.0'],
    [withBlock({ type: 'server_tool_use' }), 'hostedTools at messages.0.content.0'],
    [
      withBlock({ type: 'web_search_tool_result', content: [{ type: 'web_search_result' }] }),
      'hostedTools at messages.0.content.0',
    ],
    [withBlock({ type: 'mcp_tool_result' }), 'hostedTools at messages.0.content.0'],
  ])('%j: %s', (changes, expected) => {
    expect(uses(changes)).toEqual([expected]);
  });

  test('a skill in a container', () => {
    const container = { id: 'c', skills: [{ type: 'anthropic', skill_id: 'pptx' }] };
    expect(uses({ container })).toEqual([
      'stateful at container',
      'hostedTools at container.skills',
    ]);
  });

  test.each([
    { name: 'a', input_schema: { any: { key: 1 } } },
    { type: 'custom' },
    { type: null },
    { type: 'bash_20250124' },
    { type: 'memory_20250818' },
    { type: 'text_editor_20270101' },
  ])('a tool that the client carries out: %j', (tool) => {
    expect(inspect({ tools: [tool] })).toMatchObject({ unknownFields: [], tools: true });
    expect(uses({ tools: [tool] })).toEqual(['tools at tools']);
  });

  test.each([
    'web_search_20250305',
    'web_fetch_20260318',
    'code_execution_20250825',
    'tool_search_tool_bm25',
    'tool_search_tool_regex_20251119',
    'mcp_toolset',
    'computer_20251124',
    'computer_toolset_20260801',
    'browser_toolset_20260801',
  ])("a tool of the upstream's, among the client's own: %s", (type) => {
    const tools = [{ name: 'a' }, { type }];
    expect(uses({ tools })).toEqual(['tools at tools', 'hostedTools at tools.1']);
    expect(inspect({ tools }).unknownFields).toEqual([]);
  });

  test("a tool of the client's that code which the upstream runs may call", () => {
    const tools = [{ name: 'a', allowed_callers: ['direct', 'code_execution_20260120'] }];
    expect(uses({ tools })).toEqual(['tools at tools', 'hostedTools at tools.0.allowed_callers.1']);
    const caller = { type: 'code_execution_20260120', tool_id: 't' };
    expect(uses(withBlock({ type: 'tool_use', caller }))).toEqual([
      'tools at messages.0.content.0',
      'hostedTools at messages.0.content.0.caller',
    ]);
    expect(uses(withBlock({ type: 'tool_use', caller: { type: 'direct' } }))).toHaveLength(1);
  });

  test('a tool that is added in the middle', () => {
    const definition = { type: 'web_search_20250305', name: 'web_search' };
    const added = { type: 'tool_addition', tool: { type: 'tool_definition', definition } };
    expect(uses({ messages: [{ role: 'system', content: [added] }, USER] })).toEqual([
      'systemPrompt at messages.0.role',
      'tools at messages.0.content.0',
      'hostedTools at messages.0.content.0.tool.definition',
    ]);
  });

  test('a system message that only changes settings', () => {
    const system = { role: 'system', clear_at: 'never', output_config: { effort: 'low' } };
    expect(uses({ messages: [USER, system] })).toEqual([
      'systemPrompt at messages.1.role',
      'reasoning at messages.1.output_config.effort',
    ]);
  });

  test('the beginning of the answer, with nothing but system messages behind it', () => {
    const system = { role: 'system', output_config: {} };
    expect(uses({ messages: [USER, ASSISTANT, system, system] })).toContain(
      'prefill at messages.1',
    );
    expect(uses({ messages: [USER, ASSISTANT, system, USER] }).join()).not.toContain('prefill');
    expect(inspect({ messages: [] }).uses).toEqual([]);
  });

  test("an image in a tool's result", () => {
    const content = [{ type: 'text' }, { type: 'image' }];
    expect(uses(withBlock({ type: 'tool_result', content }))).toEqual([
      'tools at messages.0.content.0',
      'images at messages.0.content.0.content.1',
    ]);
    expect(inspect(withBlock({ type: 'tool_result', content })).mediaParts).toBe(1);
  });

  test('an image in the content that a document is made of', () => {
    const source = { type: 'content', content: [{ type: 'image' }] };
    expect(uses(withBlock({ type: 'document', source }))).toEqual([
      'files at messages.0.content.0',
      'images at messages.0.content.0.source.content.0',
    ]);
  });

  test.each(['image', 'document'])('%s by the id of a file that lies with the upstream', (type) => {
    expect(uses(withBlock({ type, source: { type: 'file', file_id: 'f' } }))).toContain(
      'stateful at messages.0.content.0.source.file_id',
    );
    expect(uses(withBlock({ type, source: { type: 'base64', data: '' } }))).toHaveLength(1);
  });

  test.each<[number, JsonObject]>([
    [1, { type: 'image', source: { type: 'url', url: 'https://x.example/i.png' } }],
    [1, { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: '' } }],
    [1, { type: 'document', source: { type: 'url', url: 'https://x.example/d.pdf' } }],
    [1, { type: 'container_upload', file_id: 'f' }],
    // Their length shows in the body.
    [0, { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'x' } }],
    [0, { type: 'document', source: { type: 'content', content: 'x' } }],
    [0, { type: 'search_result', content: [{ type: 'text', text: 'x' }] }],
    [
      1,
      {
        type: 'web_fetch_tool_result',
        content: {
          type: 'web_fetch_result',
          content: { type: 'document', source: { type: 'base64', data: '' } },
        },
      },
    ],
  ])('%i parts whose cost does not show: %j', (mediaParts, block) => {
    expect(inspect(withBlock(block))).toMatchObject({ mediaParts, unknownFields: [] });
  });

  test('files that the upstream has brought lie with it', () => {
    const content = [{ type: 'code_execution_output', file_id: 'f' }];
    const result = { type: 'code_execution_result', content, return_code: 0, stdout: '' };
    expect(uses(withBlock({ type: 'code_execution_tool_result', content: result }))).toEqual([
      'hostedTools at messages.0.content.0',
      'stateful at messages.0.content.0.content.content.0.file_id',
    ]);
  });

  test('blocks of the system prompt are looked at, too', () => {
    expect(uses({ system: [{ type: 'image' }] })).toEqual([
      'systemPrompt at system',
      'images at system.0',
    ]);
  });
});

describe('what this gateway does not know is named', () => {
  test.each<[JsonObject, string]>([
    [{ surprise: 1 }, 'surprise'],
    [{ output_config: { other: 1 } }, 'output_config.other'],
    [{ messages: [{ ...USER, name: 'x' }] }, 'messages.0.name'],
    [{ surprise: null }, 'surprise'],
    [{ inference_geo: 'us' }, 'inference_geo'],
    [{ billing_policy: {} }, 'billing_policy'],
    [{ service_tier: 'priority' }, 'service_tier'],
    [{ speed: 'fast' }, 'speed'],
    [{ thinking: { type: 'disabled', other: 1 } }, 'thinking.other'],
    [{ metadata: { user_id: 'u', other: 1 } }, 'metadata.other'],
    [{ cache_control: { type: 'ephemeral', other: 1 } }, 'cache_control.other'],
    [{ tool_choice: { type: 'auto', other: 1 } }, 'tool_choice.other'],
    [{ tools: [{ name: 'a', other: 1 }] }, 'tools.0.other'],
    [{ tools: [{ type: 'bash_20250124', input_schema: {} }] }, 'tools.0.input_schema'],
    [
      { mcp_servers: [{ type: 'url', tool_configuration: { other: 1 } }] },
      'mcp_servers.0.tool_configuration.other',
    ],
    [{ context_management: { edits: [{ other: 1 }] } }, 'context_management.edits.0.other'],
    [withBlock({ type: 'text', text: 'x', other: 1 }), 'messages.0.content.0.other'],
    [
      withBlock({ type: 'text', text: 'x', citations: [{ type: 'char_location', other: 1 }] }),
      'messages.0.content.0.citations.0.other',
    ],
    [withBlock({ type: 'tool_use', input: { any: 1 }, other: 1 }), 'messages.0.content.0.other'],
    [
      withBlock({ type: 'image', source: { type: 'url', url: 'u', other: 1 } }),
      'messages.0.content.0.source.other',
    ],
    [{ 'evil"name': 1 }, '(unprintable name)'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes).unknownFields).toEqual([expected]);
  });

  test.each(['__proto__', 'constructor', 'valueOf'])(
    'a field named %s, which every object has, is unknown and no feature',
    (name) => {
      const body = JSON.parse(
        `{"model":"m","max_tokens":1,"${name}":[],"messages":[{"role":"user","${name}":1,"content":"x"}]}`,
      ) as JsonObject;
      expect(inspectMessages(body)).toMatchObject({
        uses: [],
        unknownFields: [name, `messages.0.${name}`],
      });
    },
  );
});

describe('what no grant passes, not even one that passes what it does not know', () => {
  test.each<[JsonObject, string]>([
    [{ fallbacks: [{ model: 'other' }] }, 'fallbacks'],
    [{ fallbacks: 'default' }, 'fallbacks'],
    [{ tools: [{ type: 'advisor_20260301', name: 'advisor', model: 'other' }] }, 'tools.0'],
    [{ betas: ['x'] }, 'betas'],
    [{ anthropic_beta: ['x'] }, 'anthropic_beta'],
    [{ tools: [{ type: 'crystal_ball_20270101' }] }, 'tools.0.type'],
    [
      withBlock({ type: 'image', source: { type: 'hologram' } }),
      'messages.0.content.0.source.type',
    ],
    [
      withBlock({ type: 'web_search_tool_result', content: [{ type: 'surprise' }] }),
      'messages.0.content.0.content.0.type',
    ],
    [withBlock({ type: 'surprise_tool_result' }), 'messages.0.content.0.type'],
    [withBlock({ source: { type: 'url', url: 'u' } }), 'messages.0.content.0.type'],
    [withBlock({ type: 7 }), 'messages.0.content.0.type'],
    [withBlock({ type: 'constructor' }), 'messages.0.content.0.type'],
    [
      withBlock({ type: 'tool_result', content: [{ type: 'hologram' }] }),
      'messages.0.content.0.content.0.type',
    ],
    [{ system: [{ type: 'hologram' }] }, 'system.0.type'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });
});

describe('what is not of the right shape', () => {
  test.each<[JsonObject, string]>([
    [{ model: null }, 'model'],
    [{ messages: null }, 'messages'],
    [{ messages: [null] }, 'messages.0'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages.0.role'],
    [{ messages: [{ role: 'user' }] }, 'messages.0.content'],
    [{ messages: [{ role: 'user', content: null }] }, 'messages.0.content'],
    [{ messages: [{ role: 'user', content: ['x'] }] }, 'messages.0.content.0'],
    [{ system: 7 }, 'system'],
    [{ system: {} }, 'system'],
    [{ tools: 'all' }, 'tools'],
    [{ thinking: true }, 'thinking'],
    [{ output_config: [] }, 'output_config'],
    [{ stream: 'yes' }, 'stream'],
    [{ temperature: { model: 'other' } }, 'temperature'],
    [{ stop_sequences: [{}] }, 'stop_sequences.0'],
    [withBlock({ type: 'text', text: {} }), 'messages.0.content.0.text'],
    [withBlock({ type: 'image', source: 'x' }), 'messages.0.content.0.source'],
    [{ tools: [{ name: ['a'] }] }, 'tools.0.name'],
    [{ max_tokens: null }, 'max_tokens'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });

  test.each([0, -1, 1.5, '5', 1e308, true, [5]])('max_tokens of %j', (value) => {
    expect(() => inspect({ max_tokens: value })).toThrow(MalformedBody);
  });
});
