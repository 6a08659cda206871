/** Content blocks of the Anthropic dialect: every type, and every field of each. */
import { byType, data, each, listOf, object, plain, textOr, uses, type Reader } from './fields.ts';
import { cacheControl, citationsConfig, mcpTools, tool } from './anthropic-tools.ts';
import { callerWith } from './tool-callers.ts';

/** Where an answer that comes back as input cited from. */
const citation = object(
  each(
    [
      'type',
      'cited_text',
      'document_index',
      'document_title',
      'source',
      'title',
      'url',
      'start_char_index',
      'end_char_index',
      'start_page_number',
      'end_page_number',
      'start_block_index',
      'end_block_index',
      'search_result_index',
      'encrypted_index',
    ],
    plain,
  ),
);

const block = (known: Record<string, Reader>): Reader =>
  object({ type: plain, cache_control: cacheControl, ...known });

/** Lies with the upstream, whoever put it there. */
const fileId = uses('stateful');

/** Its cost does not show in the body's length. */
const media =
  (read: Reader): Reader =>
  (value, at, found) => {
    found.mediaParts += 1;
    read(value, at, found);
  };

const image = uses(
  'images',
  media(
    block({
      source: byType({
        base64: object(each(['type', 'media_type', 'data'], plain)),
        url: object(each(['type', 'url'], plain)),
        file: object({ type: plain, file_id: fileId }),
      }),
      transformations: object({ oversized_image: plain }),
    }),
  ),
);

/** Blocks can hold blocks: a tool's result may be an image, a document may be made of blocks. */
const inner: Reader = (value, at, found) => blocks(value, at, found);

const document = uses(
  'files',
  block({
    source: byType({
      base64: media(object(each(['type', 'media_type', 'data'], plain))),
      url: media(object(each(['type', 'url'], plain))),
      file: media(object({ type: plain, file_id: fileId })),
      // Text in the body, which its length shows.
      text: object(each(['type', 'media_type', 'data'], plain)),
      content: object({ type: plain, content: textOr(inner) }),
    }),
    citations: citationsConfig,
    ...each(['context', 'title'], plain),
  }),
);

const caller = callerWith('tool_id');

const called = { ...each(['id', 'name'], plain), input: data, caller };

/** What one of the upstream's own tools has brought, in a conversation that comes back as input. */
function brought(types: Record<string, Record<string, Reader>>): Reader {
  const known = Object.entries(types).map(([type, rest]) => [
    type,
    object({ type: plain, ...rest }),
  ]);
  const one = byType(Object.fromEntries(known) as Record<string, Reader>);
  const content: Reader = (value, at, found) =>
    (Array.isArray(value) ? listOf(one) : one)(value, at, found);
  return uses('hostedTools', block({ tool_use_id: plain, caller, content }));
}

const failed = each(['error_code', 'error_message'], plain);
const output = listOf(object({ type: plain, file_id: fileId }));
const ran = { content: output, ...each(['return_code', 'stdout', 'stderr'], plain) };
const toolReference = block({ tool_name: plain });

/** Tools that are added or taken away in the middle of a conversation. */
const toolChange = uses(
  'tools',
  block({
    tool: byType({
      tool_reference: object(each(['type', 'name'], plain)),
      mcp_tool_reference: uses('hostedTools', object(each(['type', 'name', 'server_name'], plain))),
      mcp_toolset_reference: uses('hostedTools', object(each(['type', 'server_name'], plain))),
      tool_definition: object({ type: plain, definition: tool }),
    }),
  }),
);

const BLOCKS: Record<string, Reader> = {
  text: block({ text: plain, citations: listOf(citation) }),
  image,
  document,
  search_result: uses(
    'files',
    block({ content: inner, ...each(['source', 'title'], plain), citations: citationsConfig }),
  ),
  container_upload: uses('files', media(block({ file_id: fileId }))),
  thinking: uses('reasoning', object(each(['type', 'thinking', 'signature'], plain))),
  redacted_thinking: uses('reasoning', object(each(['type', 'data'], plain))),
  // A summary in place of what it was made of.
  compaction: uses(
    'stateful',
    block({
      ...each(['content', 'encrypted_content', 'signature'], plain),
      tool_changes: listOf(toolChange),
    }),
  ),

  tool_use: uses('tools', block({ ...called, toolset_name: plain })),
  tool_result: uses(
    'tools',
    block({
      ...each(['tool_use_id', 'is_error', 'toolset_name'], plain),
      content: textOr(inner),
    }),
  ),
  tool_reference: uses('tools', toolReference),
  browser_state: uses('hostedTools', block({ tabs: data, state_changes: data })),
  tool_addition: toolChange,
  tool_removal: toolChange,

  server_tool_use: uses('hostedTools', block(called)),
  web_search_tool_result: brought({
    web_search_result: each(['encrypted_content', 'title', 'url', 'page_age'], plain),
    web_search_tool_result_error: failed,
  }),
  web_fetch_tool_result: brought({
    web_fetch_result: { content: document, ...each(['url', 'retrieved_at'], plain) },
    web_fetch_tool_result_error: failed,
  }),
  code_execution_tool_result: brought({
    code_execution_result: ran,
    encrypted_code_execution_result: { ...ran, encrypted_stdout: plain },
    code_execution_tool_result_error: failed,
  }),
  bash_code_execution_tool_result: brought({
    bash_code_execution_result: ran,
    bash_code_execution_tool_result_error: failed,
  }),
  text_editor_code_execution_tool_result: brought({
    text_editor_code_execution_view_result: each(
      ['content', 'file_type', 'num_lines', 'start_line', 'total_lines'],
      plain,
    ),
    text_editor_code_execution_create_result: { is_file_update: plain },
    text_editor_code_execution_str_replace_result: {
      lines: listOf(plain),
      ...each(['new_lines', 'new_start', 'old_lines', 'old_start'], plain),
    },
    text_editor_code_execution_tool_result_error: failed,
  }),
  tool_search_tool_result: brought({
    tool_search_tool_search_result: { tool_references: listOf(toolReference) },
    tool_search_tool_result_error: failed,
  }),
  mcp_tool_use: uses('hostedTools', block({ ...called, server_name: plain })),
  mcp_tool_result: uses(
    'hostedTools',
    block({ ...each(['tool_use_id', 'is_error'], plain), content: textOr(inner) }),
  ),
  mcp_tool_listing: uses(
    'hostedTools',
    object({ type: plain, mcp_server_name: plain, tools: mcpTools }),
  ),
};

/** A list of content blocks. */
export const blocks: Reader = listOf(byType(BLOCKS));
