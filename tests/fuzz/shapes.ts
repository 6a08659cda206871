/**
 * Requests of every operation, in pieces: the least that is a request, and fragments that each use a feature. What
 * would have any keys, being the client's own data, is marked with {@link DATA}.
 */
import type { JsonObject } from '../../src/core/scope/inspection.ts';
import type { Switch } from '../../src/core/vocabulary.ts';
import type { ProxiedOperation } from '../../src/gateway/operations/operation.ts';

/** A key of objects that are the client's data: unknown keys in there are none. */
export const DATA = '$data';

/** What it uses, and what it adds: objects are merged, lists joined. */
export type Fragment = [uses: Switch[], adds: JsonObject];

export interface Shape {
  least: JsonObject;
  /** In an order in which they can follow each other: what has to be last, is. */
  fragments: Fragment[];
}

export const MODEL = 'model-a-1';

const any = { [DATA]: true, type: 'object', properties: {} };
const user = (...content: JsonObject[]): JsonObject => ({ role: 'user', content });
const message = (role: string, content: unknown): JsonObject => ({ messages: [{ role, content }] });
const part = (...parts: JsonObject[]): JsonObject => ({ messages: [user(...parts)] });
const item = (...items: JsonObject[]): JsonObject => ({ input: items });

const SAMPLING: Fragment[] = [
  [[], { temperature: 0.5, top_p: 0.9, stop: ['a', 'b'], seed: 7 }],
  [['streaming'], { stream: true }],
  [['logitBias'], { logit_bias: { [DATA]: true, '50256': -100 } }],
];

const CHAT: Fragment[] = [
  ...SAMPLING,
  [['streaming'], { stream: true, stream_options: { include_usage: true } }],
  [['systemPrompt'], message('system', 'Be brief.')],
  [['systemPrompt'], message('developer', [{ type: 'text', text: 'Be brief.' }])],
  [['images'], part({ type: 'image_url', image_url: { url: 'https://x.example', detail: 'low' } })],
  [['audio'], part({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } })],
  [['files'], part({ type: 'file', file: { file_data: 'AAAA', filename: 'a.pdf' } })],
  [['files', 'stateful'], part({ type: 'file', file: { file_id: 'file-1' } })],
  [['tools'], { tools: [{ type: 'function', function: { name: 'f', parameters: any } }] }],
  [['tools'], { tool_choice: { type: 'function', function: { name: 'f' } } }],
  [['tools'], { functions: [{ name: 'f', description: 'F', parameters: any }] }],
  [['tools'], { parallel_tool_calls: true }],
  [
    ['tools'],
    {
      messages: [
        {
          role: 'assistant',
          tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c', content: 'Done.' },
      ],
    },
  ],
  [['hostedTools'], { web_search_options: { search_context_size: 'low' } }],
  [['logprobs'], { logprobs: true, top_logprobs: 5 }],
  [['structuredOutput'], { response_format: { type: 'json_object' } }],
  [
    ['structuredOutput'],
    { response_format: { type: 'json_schema', json_schema: { name: 's', schema: any } } },
  ],
  [['reasoning'], { reasoning_effort: 'high' }],
  [['stateful'], { store: true }],
  [['stateful'], { metadata: { [DATA]: 'true' } }],
  [['prefill'], { prediction: { type: 'content', content: 'Sure' } }],
  [['prefill'], message('assistant', 'Sure, here is')],
];

const RESPONSES: Fragment[] = [
  [[], { temperature: 0.5, top_p: 0.9, truncation: 'auto', text: { verbosity: 'low' } }],
  [['streaming'], { stream: true }],
  [['systemPrompt'], { instructions: 'Be brief.' }],
  [['systemPrompt'], item({ role: 'developer', content: 'Be brief.' })],
  [['images'], item(user({ type: 'input_image', image_url: 'https://x.example' }))],
  [['images', 'stateful'], item(user({ type: 'input_image', file_id: 'file-1' }))],
  [['files'], item(user({ type: 'input_file', file_data: 'AAAA', filename: 'a.pdf' }))],
  [['files', 'stateful'], item(user({ type: 'input_file', file_id: 'file-1' }))],
  [['tools'], { tools: [{ type: 'function', name: 'f', parameters: any, strict: true }] }],
  [['tools'], { tool_choice: { type: 'function', name: 'f' } }],
  [
    ['tools'],
    item(
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'Done.' },
    ),
  ],
  [['tools', 'hostedTools'], { tools: [{ type: 'web_search' }] }],
  [
    ['tools', 'hostedTools'],
    { tools: [{ type: 'mcp', server_label: 's', server_url: 'https://x.example' }] },
  ],
  [['hostedTools', 'stateful'], item({ type: 'web_search_call', id: 'w', status: 'completed' })],
  [['hostedTools'], item({ type: 'web_search_call', id: 'w', action: any })],
  [['logprobs'], { top_logprobs: 5 }],
  [['logprobs'], { include: ['message.output_text.logprobs'] }],
  [['structuredOutput'], { text: { format: { type: 'json_schema', name: 's', schema: any } } }],
  [['reasoning'], { reasoning: { effort: 'high', summary: 'auto' } }],
  [['reasoning', 'stateful'], item({ type: 'reasoning', id: 'r', summary: [] })],
  [['reasoning'], item({ type: 'reasoning', id: 'r', summary: [], encrypted_content: 'x' })],
  [['stateful'], item({ type: 'message', id: 'm', role: 'user' })],
  [['stateful'], { store: true }],
  [['stateful'], { previous_response_id: 'resp_1' }],
  [['stateful'], { conversation: { id: 'conv_1' } }],
  [['stateful'], { prompt: { id: 'pmpt_1', version: '2' } }],
  [['stateful'], item({ type: 'item_reference', id: 'msg_1' })],
  [['stateful'], { metadata: { [DATA]: 'true' } }],
  [['prefill'], item({ role: 'assistant', content: 'Sure, here is' })],
];

const COMPLETIONS: Fragment[] = [
  ...SAMPLING,
  [[], { suffix: 'end', echo: false }],
  [['logprobs'], { logprobs: 5 }],
  [['structuredOutput'], { guided_json: any }],
];

const EMBEDDINGS: Fragment[] = [[[], { dimensions: 256, encoding_format: 'float', user: 'u' }]];

const source = { type: 'base64', media_type: 'image/png', data: 'AAAA' };
const byFile = { type: 'file', file_id: 'file_1' };

const PROMPT: Fragment[] = [
  [[], { messages: [user({ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } })] }],
  [['systemPrompt'], { system: 'Be brief.' }],
  [['systemPrompt'], { system: [{ type: 'text', text: 'Be brief.' }] }],
  [['images'], part({ type: 'image', source })],
  [['images', 'stateful'], part({ type: 'image', source: byFile })],
  [['files'], part({ type: 'document', source, citations: { enabled: true } })],
  [['files', 'stateful'], part({ type: 'document', source: byFile })],
  [
    ['files', 'images'],
    part({
      type: 'document',
      source: { type: 'content', content: [{ type: 'image', source }] },
    }),
  ],
  [['tools'], { tools: [{ name: 'f', description: 'F', input_schema: any }] }],
  [['tools'], { tool_choice: { type: 'tool', name: 'f' } }],
  [
    ['tools', 'images'],
    {
      messages: [
        { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: any }] },
        user({ type: 'tool_result', tool_use_id: 't', content: [{ type: 'image', source }] }),
      ],
    },
  ],
  [['tools', 'hostedTools'], { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
  [['tools', 'hostedTools'], { tools: [{ type: 'web_search_20990101', name: 'x' }] }],
  [['hostedTools'], { mcp_servers: [{ type: 'url', name: 's', url: 'https://x.example' }] }],
  [['hostedTools'], part({ type: 'server_tool_use', id: 's', name: 'web_search', input: any })],
  [['reasoning'], { thinking: { type: 'enabled', budget_tokens: 1024 } }],
  [['reasoning'], { output_config: { effort: 'high' } }],
  [['structuredOutput'], { output_config: { format: { type: 'json_schema', schema: any } } }],
  [['stateful'], { context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } }],
  [['prefill'], message('assistant', 'Sure, here is')],
];

const MESSAGES: Fragment[] = [
  [[], { temperature: 0.5, top_k: 5, stop_sequences: ['a'] }],
  [['streaming'], { stream: true }],
  [['stateful'], { metadata: { user_id: 'u' } }],
  [['stateful'], { container: 'container_1' }],
  ...PROMPT,
];

const hello = { model: MODEL, messages: [{ role: 'user', content: 'Hello!' }] };

/** By the operation's name, so that no operation is left out. */
export const SHAPES: Record<ProxiedOperation['name'], Shape> = {
  'chat.completions': { least: hello, fragments: CHAT },
  responses: {
    least: { model: MODEL, input: [{ role: 'user', content: 'Hello!' }] },
    fragments: RESPONSES,
  },
  completions: { least: { model: MODEL, prompt: 'Hello!' }, fragments: COMPLETIONS },
  embeddings: { least: { model: MODEL, input: 'Hello!' }, fragments: EMBEDDINGS },
  messages: { least: { ...hello, max_tokens: 100 }, fragments: MESSAGES },
  'messages.count_tokens': { least: hello, fragments: PROMPT },
};
