import { describe, expect, test } from 'vitest';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';
import { inspectResponses } from '../../src/core/scope/responses.ts';

const inspect = (changes: JsonObject): ReturnType<typeof inspectResponses> =>
  inspectResponses({ model: 'm', input: 'Hello', store: false, ...changes });

const USER = { role: 'user', content: 'Hello' };
const withItem = (item: JsonObject): JsonObject => ({ input: [item, USER] });
const withPart = (part: JsonObject): JsonObject => withItem({ role: 'user', content: [part] });
const withTool = (tool: JsonObject): JsonObject => ({ tools: [tool] });

/** What tools of the upstream have done, each with what its item brings of its own. */
const OF_UPSTREAM: Record<string, JsonObject> = {
  apply_patch_call: { operation: { type: 'delete_file', path: 'x' } },
  apply_patch_call_output: { output: 'x' },
  code_interpreter_call: { code: 'x' },
  computer_call: { action: { type: 'wait' } },
  computer_call_output: { output: { type: 'computer_screenshot', image_url: 'u' } },
  file_search_call: { queries: ['x'] },
  image_generation_call: { result: 'x' },
  local_shell_call: { action: { type: 'exec' } },
  local_shell_call_output: { output: 'x' },
  mcp_approval_request: { arguments: '{}' },
  mcp_approval_response: { approve: false },
  mcp_call: { arguments: '{}' },
  mcp_list_tools: { tools: [{ name: 'f' }] },
  program: { code: 'x' },
  program_output: { result: 'x' },
  shell_call: { action: { commands: ['x'] } },
  shell_call_output: { output: [{ stdout: 'x' }] },
  tool_search_call: { arguments: { goal: 'x' } },
  tool_search_output: { tools: [{ type: 'function', name: 'f' }] },
  web_search_call: { action: { type: 'search', query: 'x' } },
};

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
      maxOutputTokensField: 'max_output_tokens',
      unknownFields: [],
      mediaParts: 0,
      messages: 1,
      tools: false,
    });
  });

  test.each<JsonObject>([
    { temperature: 0.2, top_p: 1, user: 'u', safety_identifier: 's', prompt_cache_key: 'k' },
    { truncation: 'auto', max_tool_calls: 3, service_tier: 'auto', include: [] },
    { stream: false, background: false, stream_options: { include_obfuscation: false } },
    { text: { verbosity: 'low', format: { type: 'text' } } },
    { instructions: null, tools: null, reasoning: null, previous_response_id: null, prompt: null },
    { input: [USER, { type: 'message', role: 'user', content: [], status: 'completed' }] },
    withPart({ type: 'input_text', text: 'x', prompt_cache_breakpoint: { mode: 'explicit' } }),
    withItem({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      status: 'completed',
      phase: 'final_answer',
      content: [
        { type: 'output_text', text: 'x', annotations: [{ type: 'url_citation' }], logprobs: [] },
        { type: 'refusal', refusal: 'x' },
      ],
    }),
  ])('%j', (changes) => {
    expect(inspect(changes)).toMatchObject({ uses: [], unknownFields: [] });
  });
});

describe('what uses a feature', () => {
  test.each<[JsonObject, string]>([
    [{ stream: true }, 'streaming at stream'],
    [{ instructions: 'x' }, 'systemPrompt at instructions'],
    [withItem({ role: 'system', content: 'x' }), 'systemPrompt at input.0.role'],
    [withItem({ role: 'developer', content: 'x' }), 'systemPrompt at input.0.role'],
    [{ input: [USER, { role: 'assistant', content: 'Sure' }] }, 'prefill at input.1'],
    [{ tools: [] }, 'tools at tools'],
    [{ tool_choice: 'required' }, 'tools at tool_choice'],
    [{ tool_choice: { type: 'function', name: 'f' } }, 'tools at tool_choice'],
    [{ parallel_tool_calls: true }, 'tools at parallel_tool_calls'],
    [
      withItem({ type: 'function_call', id: 'fc_1', name: 'f', arguments: '{}', call_id: 'c' }),
      'tools at input.0',
    ],
    [withItem({ type: 'function_call_output', call_id: 'c', output: 'x' }), 'tools at input.0'],
    [withItem({ type: 'custom_tool_call', name: 'f', input: 'x' }), 'tools at input.0'],
    [withItem({ type: 'custom_tool_call_output', output: 'x' }), 'tools at input.0'],
    [withItem({ type: 'additional_tools', role: 'developer', tools: [] }), 'tools at input.0'],
    [
      withPart({ type: 'input_image', image_url: 'u', detail: 'low' }),
      'images at input.0.content.0',
    ],
    [withPart({ type: 'input_file', file_url: 'u' }), 'files at input.0.content.0'],
    [
      withPart({ type: 'input_audio', input_audio: { data: 'x', format: 'wav' } }),
      'audio at input.0.content.0',
    ],
    [{ top_logprobs: 0 }, 'logprobs at top_logprobs'],
    [{ include: ['message.output_text.logprobs'] }, 'logprobs at include.0'],
    [{ include: ['reasoning.encrypted_content'] }, 'reasoning at include.0'],
    [{ include: ['message.input_image.image_url'] }, 'images at include.0'],
    [{ include: ['code_interpreter_call.outputs'] }, 'hostedTools at include.0'],
    [{ include: ['web_search_call.action.sources'] }, 'hostedTools at include.0'],
    [{ reasoning: { effort: 'low', summary: 'auto', mode: 'standard' } }, 'reasoning at reasoning'],
    [
      withItem({
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 'x' }],
        encrypted_content: 'x',
      }),
      'reasoning at input.0',
    ],
    [
      withItem({
        type: 'reasoning',
        id: 'rs_1',
        summary: [],
        content: [{ type: 'reasoning_text', text: 'x' }],
      }),
      'reasoning at input.0',
    ],
    [{ text: { format: { type: 'json_object' } } }, 'structuredOutput at text.format'],
    [
      { text: { format: { type: 'json_schema', name: 's', schema: { any: 'key' } } } },
      'structuredOutput at text.format',
    ],
    [{ logit_bias: {} }, 'logitBias at logit_bias'],
    [{ store: true }, 'stateful at store'],
    [{ metadata: { any: 'key' } }, 'stateful at metadata'],
    [{ previous_response_id: 'resp_1' }, 'stateful at previous_response_id'],
    [{ conversation: 'conv_1' }, 'stateful at conversation'],
    [{ conversation: { id: 'conv_1' } }, 'stateful at conversation'],
    [{ prompt: { id: 'pmpt_1', version: '2', variables: { any: 'x' } } }, 'stateful at prompt'],
    [{ context_management: [{ type: 'compaction' }] }, 'stateful at context_management'],
    [withItem({ type: 'item_reference', id: 'msg_1' }), 'stateful at input.0.id'],
    [withItem({ id: 'msg_1' }), 'stateful at input.0.id'],
    [withItem({ type: 'compaction', encrypted_content: 'x' }), 'stateful at input.0'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes)).toMatchObject({ unknownFields: [] });
    expect(uses(changes)).toEqual([expected]);
  });

  test('not to say that nothing is to be stored, since the API stores by itself', () => {
    expect(uses({ store: undefined })).toContain('stateful at store');
    expect(uses({ store: null })).toEqual(['stateful at store']);
    expect(inspectResponses({ model: 'm', input: 'x' }).uses).toEqual([
      { feature: 'stateful', field: 'store' },
    ]);
  });

  test.each(Object.entries(OF_UPSTREAM))('what a tool of the upstream did: %s', (type, own) => {
    const id = 'x';
    const { uses: found, unknownFields } = inspect(withItem({ type, id, ...own }));
    expect(found[0]).toEqual({ feature: 'hostedTools', field: 'input.0' });
    expect(found).not.toContainEqual({ feature: 'stateful', field: 'input.0.id' });
    expect(unknownFields).toEqual([]);
  });

  test.each<JsonObject>([
    ...Object.keys(OF_UPSTREAM).map((type) => ({ type })),
    { type: 'message', role: 'assistant' },
    { role: 'user', content: [] },
    { role: 'user', content: '' },
    { type: 'reasoning', summary: [] },
    { type: 'reasoning', summary: [{ type: 'summary_text', text: 'x' }], content: [] },
    { type: 'reasoning', encrypted_content: '' },
    { type: 'function_call' },
    { type: 'function_call', name: 'f', call_id: 'c', arguments: null },
    { type: 'function_call_output', call_id: 'c' },
    { type: 'custom_tool_call', name: 'f' },
    { type: 'custom_tool_call_output' },
    { type: 'additional_tools', role: 'developer', tools: [] },
    { type: 'compaction' },
    { type: 'tool_search_call', arguments: {} },
  ])('an item by its id alone reaches what lies with the upstream: %j', (item) => {
    const found = inspect(withItem({ id: 'other', ...item }));
    expect(found.uses).toContainEqual({ feature: 'stateful', field: 'input.0.id' });
    expect(found).toMatchObject({ mediaParts: 1, unknownFields: [] });
    // Without an id there is nothing to look up.
    expect(uses(withItem({ id: null, ...item }))).not.toContain('stateful at input.0.id');
  });

  test.each<JsonObject>([
    { type: 'web_search', filters: { allowed_domains: ['x'] }, user_location: { city: 'x' } },
    { type: 'web_search_preview', search_context_size: 'low' },
    { type: 'file_search', filters: { type: 'eq', key: 'k', value: 1 }, max_num_results: 1 },
    { type: 'code_interpreter', container: { type: 'auto', memory_limit: '1g' } },
    { type: 'computer_use_preview', display_height: 1, display_width: 1, environment: 'linux' },
    { type: 'computer' },
    { type: 'image_generation', quality: 'low', size: 'auto' },
    {
      type: 'mcp',
      server_label: 'l',
      server_url: 'u',
      headers: { any: 'x' },
      allowed_tools: ['x'],
    },
    { type: 'mcp', server_label: 'l', require_approval: { never: { tool_names: ['x'] } } },
    { type: 'local_shell' },
    { type: 'shell', environment: { type: 'local' } },
    { type: 'apply_patch' },
    { type: 'tool_search', execution: 'server', parameters: { any: 'key' } },
    { type: 'programmatic_tool_calling' },
  ])('a tool that the upstream carries out: %j', (tool) => {
    expect(inspect(withTool(tool))).toMatchObject({
      uses: [
        { feature: 'tools', field: 'tools' },
        { feature: 'hostedTools', field: 'tools.0' },
      ],
      unknownFields: [],
    });
  });

  test('tools of the client, on their own and in a group, whose schemas are data', () => {
    const schema = { type: 'object', any: { key: [1] } };
    const own = [
      { type: 'function', name: 'f', parameters: schema, strict: true, output_schema: schema },
      { type: 'custom', name: 'c', format: { type: 'grammar', syntax: 'lark', definition: 'x' } },
    ];
    const tools = [...own, { type: 'namespace', name: 'n', description: 'd', tools: own }];
    expect(inspect({ tools })).toMatchObject({
      uses: [{ feature: 'tools', field: 'tools' }],
      unknownFields: [],
      tools: true,
    });
  });

  test('a tool of the upstream in an item, and as the one that is to be called', () => {
    const search = { type: 'web_search' };
    expect(uses(withItem({ type: 'additional_tools', tools: [search] }))).toContain(
      'hostedTools at input.0.tools.0',
    );
    expect(uses({ tool_choice: search })).toContain('hostedTools at tool_choice');
    expect(uses({ tool_choice: { type: 'mcp', server_label: 'l' } })).toContain(
      'hostedTools at tool_choice',
    );
    const among = { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function' }, search] };
    expect(uses({ tool_choice: among })).toEqual([
      'tools at tool_choice',
      'hostedTools at tool_choice.tools.1',
    ]);
  });

  test("a tool of the client's that code which the upstream runs may call, or has", () => {
    const callable = ['direct', 'programmatic'];
    expect(uses(withTool({ type: 'function', name: 'f', allowed_callers: callable }))).toEqual([
      'tools at tools',
      'hostedTools at tools.0.allowed_callers.1',
    ]);
    const call = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };
    const caller = { type: 'program', caller_id: 'p' };
    for (const item of [call, { type: 'function_call_output', call_id: 'c', output: 'x' }])
      expect(uses(withItem({ ...item, caller }))).toEqual([
        'tools at input.0',
        'hostedTools at input.0.caller',
      ]);
    expect(uses(withItem({ ...call, caller: { type: 'direct' } }))).toEqual(['tools at input.0']);
  });

  test('the beginning of the answer, with nothing but system messages behind it', () => {
    const assistant = { role: 'assistant', content: 'Sure' };
    for (const role of ['system', 'developer'])
      expect(uses({ input: [USER, assistant, { role, content: '' }] })).toContain(
        'prefill at input.1',
      );
    expect(uses({ input: [USER, assistant, { role: 'system', content: 'x' }, USER] })).toEqual([
      'systemPrompt at input.2.role',
    ]);
  });

  test.each<[JsonObject, string]>([
    [withPart({ type: 'input_image', file_id: 'f' }), 'input.0.content.0.file_id'],
    [withPart({ type: 'input_file', file_id: 'f' }), 'input.0.content.0.file_id'],
    [withTool({ type: 'file_search', vector_store_ids: ['v'] }), 'tools.0.vector_store_ids'],
    [withTool({ type: 'code_interpreter', container: 'cntr_1' }), 'tools.0.container'],
    [
      withTool({ type: 'code_interpreter', container: { type: 'auto', file_ids: ['f'] } }),
      'tools.0.container.file_ids',
    ],
    [
      withTool({ type: 'shell', environment: { type: 'container_reference', container_id: 'c' } }),
      'tools.0.environment.container_id',
    ],
    [
      withItem({ type: 'computer_call_output', output: { type: 'x', file_id: 'f' } }),
      'input.0.output.file_id',
    ],
    [withItem({ type: 'code_interpreter_call', container_id: 'c' }), 'input.0.container_id'],
    [
      { prompt: { id: 'p', variables: { v: { type: 'input_file', file_id: 'f' } } } },
      'prompt.variables.v.file_id',
    ],
  ])('what is named by its id reaches what lies with the upstream: %j', (changes, field) => {
    expect(uses(changes)).toContain(`stateful at ${field}`);
  });

  test('every part that costs more than its length is counted, what is referred to as well', () => {
    const content = [
      { type: 'input_image', image_url: 'u' },
      { type: 'input_text', text: 'x' },
      { type: 'input_file', file_data: 'x' },
    ];
    const output = [{ type: 'input_image', image_url: 'u' }];
    const input = [
      { role: 'user', content },
      { type: 'function_call_output', call_id: 'c', output },
      { type: 'item_reference', id: 'i' },
    ];
    expect(inspect({ input })).toMatchObject({ mediaParts: 4, messages: 4 });
    expect(inspect({ previous_response_id: 'r' }).mediaParts).toBe(1);
    expect(inspect({ conversation: 'c' }).mediaParts).toBe(1);
    expect(inspect({ prompt: { id: 'p' } }).mediaParts).toBe(1);
  });
});

describe('what this gateway does not know is named', () => {
  test.each<[JsonObject, string]>([
    [{ surprise: 1 }, 'surprise'],
    [{ surprise: null }, 'surprise'],
    [{ messages: [] }, 'messages'],
    [{ service_tier: 'priority' }, 'service_tier'],
    [{ moderation: { model: 'm' } }, 'moderation'],
    [{ include: ['vault.contents'] }, 'include.0'],
    [{ include: [{ any: 1 }] }, 'include.0'],
    [{ reasoning: { mode: 'pro' } }, 'reasoning.mode'],
    [{ reasoning: { budget: 1 } }, 'reasoning.budget'],
    [{ text: { tone: 'x' } }, 'text.tone'],
    [{ text: { format: { type: 'text', x: 1 } } }, 'text.format.x'],
    [{ stream_options: { x: 1 } }, 'stream_options.x'],
    [{ conversation: { id: 'c', x: 1 } }, 'conversation.x'],
    [{ prompt: { id: 'p', x: 1 } }, 'prompt.x'],
    [{ context_management: [{ type: 'compaction', x: 1 }] }, 'context_management.0.x'],
    [withItem({ role: 'user', content: 'x', name: 'n' }), 'input.0.name'],
    [withItem({ id: 'i', x: 1 }), 'input.0.x'],
    [withItem({ type: 'function_call', url: 'x' }), 'input.0.url'],
    [withItem({ type: 'function_call', caller: { type: 'direct', x: 1 } }), 'input.0.caller.x'],
    [withItem({ type: 'reasoning', summary: [{ type: 'x', x: 1 }] }), 'input.0.summary.0.x'],
    [withItem({ type: 'mcp_call', x: 1 }), 'input.0.x'],
    [withPart({ type: 'input_text', text: 'x', x: 1 }), 'input.0.content.0.x'],
    [withPart({ type: 'input_image', url: 'x' }), 'input.0.content.0.url'],
    [withTool({ type: 'function', function: { name: 'f' } }), 'tools.0.function'],
    [withTool({ type: 'custom', format: { type: 'text', x: 1 } }), 'tools.0.format.x'],
    [withTool({ type: 'mcp', proxy: 'x' }), 'tools.0.proxy'],
    // It names a model that nobody has pinned.
    [withTool({ type: 'image_generation', model: 'm' }), 'tools.0.model'],
    [{ tool_choice: { type: 'function', name: 'f', x: 1 } }, 'tool_choice.x'],
  ])('%j: %s', (changes, expected) => {
    expect(inspect(changes).unknownFields).toEqual([expected]);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'a field named %s, which every object has, is unknown and no feature',
    (name) => {
      const body = JSON.parse(
        `{"model":"m","store":false,"${name}":1,"include":["${name}"],"input":[{"role":"user","content":"x","${name}":1}]}`,
      ) as JsonObject;
      expect(inspectResponses(body)).toMatchObject({
        uses: [],
        unknownFields: [name, 'include.0', `input.0.${name}`],
      });
    },
  );
});

describe('a type that this gateway does not know is refused, whatever the grant passes', () => {
  test.each<[JsonObject, string]>([
    [withItem({ type: 'hologram' }), 'input.0.type'],
    [withItem({}), 'input.0.type'],
    [withPart({ type: 'hologram' }), 'input.0.content.0.type'],
    [withPart({ image_url: 'u' }), 'input.0.content.0.type'],
    [withPart({ type: 'constructor' }), 'input.0.content.0.type'],
    [withTool({ type: 'hologram' }), 'tools.0.type'],
    [withTool({}), 'tools.0.type'],
    [withTool({ type: 'namespace', tools: [{ type: 'web_search' }] }), 'tools.0.tools.0.type'],
    [{ tool_choice: { type: 'hologram' } }, 'tool_choice.type'],
    [{ text: { format: { type: 'hologram' } } }, 'text.format.type'],
  ])('%j: %s', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
  });
});

describe('what is not of the right shape', () => {
  test.each<[JsonObject, string]>([
    [{ model: undefined }, 'model'],
    [{ input: 7 }, 'input'],
    [{ input: {} }, 'input'],
    [{ input: ['x'] }, 'input.0'],
    [{ input: [[USER]] }, 'input.0'],
    [withItem({ role: 'god', content: 'x' }), 'input.0.role'],
    [withItem({ type: 'message', content: 'x' }), 'input.0.role'],
    [withItem({ role: 'user', content: 7 }), 'input.0.content'],
    [{ instructions: { hidden: 1 } }, 'instructions'],
    [{ tools: {} }, 'tools'],
    [{ include: 'x' }, 'include'],
    [{ stream: 'true' }, 'stream'],
    [{ store: [] }, 'store'],
    [{ text: 'json' }, 'text'],
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ max_output_tokens: '5' }, 'max_output_tokens'],
    // It would go on where it can be neither metered nor stopped.
    [{ background: true }, 'background'],
    [{ background: 'yes' }, 'background'],
  ])('%j', (changes, field) => {
    expect(() => inspect(changes)).toThrow(expect.objectContaining({ field }) as Error);
    expect(() => inspect(changes)).toThrow(MalformedBody);
  });
});

test('there can be no input beside a stored prompt', () => {
  expect(inspect({ input: undefined, prompt: { id: 'p' } }).messages).toBe(1);
});

test('the maximum is what the request names', () => {
  expect(inspect({ max_output_tokens: 77 }).maxOutputTokens).toBe(77);
});
