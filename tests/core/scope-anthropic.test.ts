import { describe, expect, test } from 'vitest';
import { inspectAnthropicMessages } from '../../src/core/scope/anthropic-messages.ts';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';
import { nested } from '../support/bodies.ts';

const USER = { role: 'user', content: 'Hello' };

const inspect = (changes: JsonObject): ReturnType<typeof inspectAnthropicMessages> =>
  inspectAnthropicMessages({ model: 'm', max_tokens: 10, messages: [USER], ...changes });

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
      maxOutputTokens: 10,
      unknownFields: [],
      mediaParts: 0,
    });
  });

  test.each<JsonObject>([
    { temperature: 1, top_p: 1, top_k: 5, stop_sequences: ['x'], cache_control: {} },
    { stream: false, thinking: { type: 'disabled' }, output_config: {} },
    { system: null, tools: null, metadata: null, thinking: null, stream: null },
    withBlock({ type: 'text', text: 'x' }),
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
    [{ output_format: {} }, 'structuredOutput at output_format'],
    [{ output_config: { format: {} } }, 'structuredOutput at output_config.format'],
    [{ output_config: { effort: 'low' } }, 'reasoning at output_config.effort'],
    [{ thinking: { type: 'enabled' } }, 'reasoning at thinking'],
    [{ thinking: {} }, 'reasoning at thinking'],
    [{ messages: [USER, { role: 'assistant', content: 'Sure' }] }, 'prefill at messages.1'],
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

  test("a tool of the vendor's, among the client's own", () => {
    const tools = [{ name: 'a' }, { type: 'custom' }, { type: null }, { type: 'bash_20250124' }];
    expect(uses({ tools })).toEqual(['tools at tools', 'hostedTools at tools.3']);
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
      'stateful at messages.0.content.0.source',
    );
    expect(uses(withBlock({ type, source: { type: 'base64', data: '' } }))).toHaveLength(1);
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
    [withBlock({ type: 'hologram' }), 'messages.0.content.0.type'],
    [withBlock({ type: 7 }), 'messages.0.content.0.type'],
    [
      withBlock({ type: 'tool_result', content: [{ type: 'hologram' }] }),
      'messages.0.content.0.content.0.type',
    ],
    [{ system: [{ type: 'hologram' }] }, 'system.0.type'],
    [{ 'evil"name': 1 }, '(unprintable name)'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes).unknownFields).toEqual([expected]);
  });

  test.each(['__proto__', 'constructor', 'valueOf'])(
    'a field named %s, which every object has, is unknown and no feature',
    (name) => {
      const body = JSON.parse(
        `{"model":"m","max_tokens":1,"${name}":[],"messages":[{"role":"user","${name}":1,"content":[{"type":"${name}"}]}]}`,
      ) as JsonObject;
      expect(inspectAnthropicMessages(body)).toMatchObject({
        uses: [],
        unknownFields: [name, `messages.0.${name}`, 'messages.0.content.0.type'],
      });
    },
  );
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
    [{ max_tokens: null }, 'max_tokens'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });

  test.each([0, -1, 1.5, '5', 1e308, true, [5]])('max_tokens of %j', (value) => {
    expect(() => inspect({ max_tokens: value })).toThrow(MalformedBody);
  });

  test('results in results, deeper than any request means', () => {
    let block: JsonObject = { type: 'text', text: 'x' };
    for (let i = 0; i < 50_000; i += 1) block = { type: 'tool_result', content: [block] };
    expect(() => inspect(withBlock(block))).toThrow(/nested too deeply/);
  });

  test('lists in lists, in a field that is otherwise not looked into', () => {
    expect(() => inspect({ tools: [{ input_schema: nested(100_000) }] })).toThrow(MalformedBody);
    expect(uses({ tools: [{ input_schema: nested(60) }] })).toEqual(['tools at tools']);
  });
});
