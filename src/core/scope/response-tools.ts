/** Tools of the Responses API: the client's, and those that the upstream carries out. */
import { byType, data, each, listOf, object, plain, textOr, uses, type Reader } from './fields.ts';
import { FUNCTION, stored } from './openai-fields.ts';
import { allowedCallers } from './tool-callers.ts';

const typed = object({ type: plain });

const CALLABLE = { allowed_callers: allowedCallers, defer_loading: plain };

/** By their `type`: the client's own, and those that the upstream carries out. */
function toolOf(clients: Record<string, Reader>, upstreams: Record<string, Reader>): Reader {
  const hosted = Object.entries(upstreams).map(([type, read]) => [type, uses('hostedTools', read)]);
  return byType({ ...clients, ...(Object.fromEntries(hosted) as Record<string, Reader>) });
}

const CLIENT_TOOLS = {
  function: object({ type: plain, ...FUNCTION, ...CALLABLE, output_schema: data }),
  custom: object({
    ...each(['type', 'name', 'description'], plain),
    ...CALLABLE,
    format: byType({
      text: typed,
      grammar: object(each(['type', 'definition', 'syntax'], plain)),
    }),
  }),
};

/** A group of the client's tools. */
const namespace = object({
  ...each(['type', 'name', 'description'], plain),
  tools: listOf(byType(CLIENT_TOOLS)),
});

const place = object(each(['type', 'city', 'country', 'region', 'timezone'], plain));

const networkPolicy = byType({
  disabled: typed,
  allowlist: object({
    type: plain,
    allowed_domains: listOf(plain),
    domain_secrets: listOf(object(each(['domain', 'name', 'value'], plain))),
  }),
});

const container = byType({
  ...each(
    ['auto', 'container_auto'],
    object({
      ...each(['type', 'memory_limit'], plain),
      file_ids: stored,
      network_policy: networkPolicy,
      skills: uses('stateful', data),
    }),
  ),
  container_reference: object({ type: plain, container_id: stored }),
  local: object({
    type: plain,
    skills: listOf(object(each(['name', 'description', 'path'], plain))),
  }),
});

/** A container by its id lies with the upstream; in full it is made for this request. */
export const containerOrId: Reader = (value, at, found) =>
  (typeof value === 'string' ? stored : container)(value, at, found);

const toolFilter = object({ read_only: plain, tool_names: listOf(plain) });

const search = object({
  ...each(['type', 'search_context_size'], plain),
  filters: object({ allowed_domains: listOf(plain) }),
  search_content_types: listOf(plain),
  user_location: place,
});

const UPSTREAM_TOOLS = {
  ...each(['computer', 'local_shell', 'programmatic_tool_calling'], typed),
  ...each(
    ['web_search', 'web_search_2025_08_26', 'web_search_preview', 'web_search_preview_2025_03_11'],
    search,
  ),
  apply_patch: object({ type: plain, allowed_callers: allowedCallers }),
  code_interpreter: object({
    type: plain,
    allowed_callers: allowedCallers,
    container: containerOrId,
  }),
  computer_use_preview: object(
    each(['type', 'display_height', 'display_width', 'environment'], plain),
  ),
  file_search: object({
    ...each(['type', 'max_num_results'], plain),
    vector_store_ids: stored,
    filters: data,
    ranking_options: object({
      ...each(['ranker', 'score_threshold'], plain),
      hybrid_search: object(each(['embedding_weight', 'text_weight'], plain)),
    }),
  }),
  // Not here is its `model`, which nobody has pinned.
  image_generation: object({
    ...each(
      [
        'type',
        'action',
        'background',
        'input_fidelity',
        'moderation',
        'output_compression',
        'output_format',
        'partial_images',
        'quality',
        'size',
      ],
      plain,
    ),
    input_image_mask: object({ file_id: stored, image_url: uses('images') }),
  }),
  mcp: object({
    ...each(
      [
        'type',
        'authorization',
        'connector_id',
        'server_description',
        'server_label',
        'server_url',
        'tunnel_id',
      ],
      plain,
    ),
    ...CALLABLE,
    allowed_tools: (value, at, found) =>
      (Array.isArray(value) ? listOf(plain) : toolFilter)(value, at, found),
    headers: data,
    require_approval: textOr(object({ always: toolFilter, never: toolFilter })),
  }),
  shell: object({ type: plain, allowed_callers: allowedCallers, environment: container }),
  tool_search: object({ ...each(['type', 'description', 'execution'], plain), parameters: data }),
};

export const tool = toolOf({ ...CLIENT_TOOLS, namespace }, UPSTREAM_TOOLS);

const CHOSEN = each(['function', 'custom'], object(each(['type', 'name'], plain)));

const CHOSEN_OF_UPSTREAM = {
  ...each(
    [
      'apply_patch',
      'code_interpreter',
      'computer',
      'computer_use',
      'computer_use_preview',
      'file_search',
      'image_generation',
      'programmatic_tool_calling',
      'shell',
      'web_search',
      'web_search_preview',
      'web_search_preview_2025_03_11',
    ],
    typed,
  ),
  mcp: object(each(['type', 'server_label', 'name'], plain)),
};

/** One tool by its name, or some of them. */
export const toolChoice = toolOf(
  {
    ...CHOSEN,
    allowed_tools: object({
      ...each(['type', 'mode'], plain),
      tools: listOf(toolOf(CHOSEN, CHOSEN_OF_UPSTREAM)),
    }),
  },
  CHOSEN_OF_UPSTREAM,
);
