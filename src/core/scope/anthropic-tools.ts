/** Tools in the Anthropic dialect: who carries them out, and every field of their definitions. */
import {
  byType,
  data,
  each,
  listOf,
  mapOf,
  never,
  object,
  plain,
  uses,
  type Reader,
} from './fields.ts';
import { objectAt } from './inspection.ts';
import { allowedCallers } from './tool-callers.ts';

/** The upstream keeps for minutes what it has read anyway, for whoever sends the same; longer is state. */
export const cacheControl = object({
  type: plain,
  ttl: (value, at, found) => {
    plain(value, at, found);
    if (value !== '5m') found.use('stateful', at);
  },
});

/** Whether passages are to be cited. */
export const citationsConfig = object({ enabled: plain });

const shared = {
  ...each(['type', 'name', 'defer_loading', 'strict'], plain),
  allowed_callers: allowedCallers,
  cache_control: cacheControl,
  input_examples: data,
};

const described = object({
  ...shared,
  ...each(['description', 'eager_input_streaming'], plain),
  input_schema: data,
});

const ofClient = (more: Record<string, Reader> = {}): Reader => object({ ...shared, ...more });

const ofUpstream = (more: Record<string, Reader> = {}): Reader =>
  uses('hostedTools', object({ ...shared, ...more }));

const switchedOn = object(each(['defer_loading', 'enabled'], plain));

const toolset = (more: Record<string, Reader> = {}): Reader =>
  uses(
    'hostedTools',
    object({ type: plain, cache_control: cacheControl, configs: mapOf(switchedOn), ...more }),
  );

const web = {
  ...each(['allowed_domains', 'blocked_domains'], listOf(plain)),
  ...each(['max_uses', 'response_inclusion'], plain),
};

const place = object(each(['type', 'city', 'country', 'region', 'timezone'], plain));

const urlSource = object({ type: plain, tools: listOf(object(each(['type', 'name'], plain))) });

/** As an MCP server describes them. */
export const mcpTools = listOf(
  object({ ...each(['name', 'description'], plain), input_schema: data }),
);

/** By their type without its date: a new version may have new fields, but nobody else carries it out. */
const FAMILIES: Record<string, Reader> = {
  custom: described,
  // Names and schemas that the model was trained on: the client carries them out like its own.
  bash: ofClient(),
  memory: ofClient(),
  text_editor: ofClient({ max_characters: plain }),
  // The client's as well; but through a screen or a browser the model acts outside.
  computer: ofUpstream(
    each(['display_height_px', 'display_width_px', 'display_number', 'enable_zoom'], plain),
  ),
  computer_toolset: toolset(),
  browser_toolset: toolset(),
  code_execution: ofUpstream(),
  tool_search_tool_bm25: ofUpstream(),
  tool_search_tool_regex: ofUpstream(),
  web_search: ofUpstream({ ...web, user_location: place }),
  web_fetch: ofUpstream({
    ...web,
    citations: citationsConfig,
    ...each(['max_content_tokens', 'use_cache'], plain),
    url_sources: object(
      each(['client_tool_results', 'server_tool_results', 'user_input'], urlSource),
    ),
  }),
  mcp_toolset: toolset({ mcp_server_name: plain, default_config: switchedOn, tools: mcpTools }),
  advisor: never('has another model advise, and a request reaches no model but the one it names.'),
};

const byFamily = byType(FAMILIES, (type) => type.replace(/_\d{8}$/, ''));

/** One tool's definition. Without a type it is the client's. */
export const tool: Reader = (value, at, found) => {
  const hasType = (objectAt(value, at)['type'] ?? null) !== null;
  (hasType ? byFamily : described)(value, at, found);
};

export const toolChoice = object(each(['type', 'name', 'disable_parallel_tool_use'], plain));

/** MCP servers that the upstream is to call. */
export const mcpServers = listOf(
  object({
    ...each(['type', 'name', 'url', 'authorization_token'], plain),
    tool_configuration: object({ enabled: plain, allowed_tools: listOf(plain) }),
  }),
);
