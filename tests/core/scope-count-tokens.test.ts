import { describe, expect, test } from 'vitest';
import { inspectCountTokens } from '../../src/core/scope/count-tokens.ts';
import type { JsonObject } from '../../src/core/scope/inspection.ts';

const inspect = (changes: JsonObject): ReturnType<typeof inspectCountTokens> =>
  inspectCountTokens({ model: 'm', messages: [{ role: 'user', content: 'Hello' }], ...changes });

test('a prompt that nobody answers needs no maximum, and has none', () => {
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

describe('what is in the prompt uses the features that it would use in a message', () => {
  test.each<[JsonObject, string]>([
    [{ system: 'x' }, 'systemPrompt'],
    [{ tools: [{ name: 'a', input_schema: {} }] }, 'tools'],
    [{ tool_choice: { type: 'auto' } }, 'tools'],
    [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'reasoning'],
    [{ output_config: { format: { type: 'json_schema', schema: {} } } }, 'structuredOutput'],
    [{ mcp_servers: [] }, 'hostedTools'],
    [{ messages: [{ role: 'user', content: [{ type: 'image' }] }] }, 'images'],
    [{ messages: [{ role: 'assistant', content: 'Sure' }] }, 'prefill'],
  ])('%j: %s', (changes, feature) => {
    expect(inspect(changes).uses.map((use) => use.feature)).toEqual([feature]);
  });
});

test.each(['max_tokens', 'stream', 'temperature', 'stop_sequences', 'metadata', 'container'])(
  '%s belongs to an answer',
  (field) => {
    expect(inspect({ [field]: null }).unknownFields).toEqual([field]);
  },
);

test('a prompt is read as strictly as a message', () => {
  expect(() => inspect({ messages: 'Hello' })).toThrow(/"messages" must be a list/);
  expect(() => inspect({ model: '' })).toThrow(/"model" must name a model/);
});
