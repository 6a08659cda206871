/** Fields that several operations of the OpenAI dialect have, each with what it uses. */
import type { Switch } from '../vocabulary.ts';
import { among, byType, data, each, listOf, object, plain, uses, type Reader } from './fields.ts';
import { objectAt } from './inspection.ts';

type Known = Record<string, Reader>;

/** A plain value, or a list of these. */
const plainOrList: Reader = (value, at, found) =>
  (Array.isArray(value) ? listOf(plain) : plain)(value, at, found);

/** Uses a feature, but for the one value that leaves it alone. */
export function usesUnless(harmless: unknown, feature: Switch): Reader {
  return (value, at, found) => {
    plain(value, at, found);
    if (value !== harmless) found.use(feature, at);
  };
}

/**
 * Fields that only shape the answer of this one request, with those that compatible servers take beside the
 * vendor's: harnesses send both.
 */
export const SAMPLING: Known = each(
  [
    'temperature',
    'top_p',
    'top_k',
    'min_p',
    'typical_p',
    'seed',
    'stop',
    'stop_token_ids',
    'include_stop_str_in_output',
    'min_tokens',
    'ignore_eos',
    'presence_penalty',
    'frequency_penalty',
    'repetition_penalty',
    'length_penalty',
    'skip_special_tokens',
    'spaces_between_special_tokens',
    'add_special_tokens',
  ],
  plainOrList,
);

/** Fields that change the odds of tokens, or fix the form of the answer. */
export const STEERING: Known = {
  logit_bias: uses('logitBias', data),
  ...each(['allowed_token_ids', 'bad_words'], uses('logitBias', plainOrList)),
  ...each(
    ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar', 'structured_outputs'],
    uses('structuredOutput', data),
  ),
};

/** Who asks, and how it is routed and cached. */
export const ROUTING: Known = {
  user: plain,
  safety_identifier: plain,
  // Other tiers have other prices than the endpoint's, which budgets are reckoned with.
  service_tier: among('auto', 'default'),
  prompt_cache_key: plain,
  // Upstreams cache prompts for minutes by themselves; longer is state that somebody asked for.
  prompt_cache_retention: usesUnless('in_memory', 'stateful'),
  prompt_cache_options: object({ mode: plain, ttl: uses('stateful') }),
};

export const STREAM: Known = {
  stream: usesUnless(false, 'streaming'),
  stream_options: object(
    each(['include_usage', 'include_obfuscation', 'continuous_usage_stats'], plain),
  ),
};

/** Where the upstream's prompt cache may cut. */
export const cacheBreakpoint: Known = { prompt_cache_breakpoint: object({ mode: plain }) };

export const named = object({ name: plain });

/** What the SDK's helpers put beside a text that they have parsed. It comes back with answers that do. */
export const PARSED: Known = each(['parsed', 'parsed_arguments'], data);

/** A function and its arguments, as the model called it. */
export const called = object({ ...each(['name', 'arguments'], plain), ...PARSED });

/** How the client describes a function. */
export const FUNCTION: Known = {
  ...each(['name', 'description', 'strict'], plain),
  parameters: data,
};

export const audioData = object(each(['data', 'format'], plain));

/** Stands for input whose cost does not show in its length. */
export function costly(read: Reader): Reader {
  return (value, at, found) => {
    found.mediaParts += 1;
    read(value, at, found);
  };
}

/** By its id: something that lies with the upstream, whoever put it there. */
export const stored = costly(uses('stateful', plainOrList));

/** Part of a message that is not text. */
export function media(feature: 'images' | 'files' | 'audio', known: Known): Reader {
  return costly(uses(feature, object({ type: plain, ...cacheBreakpoint, ...known })));
}

/** The form of the answer: only text leaves it open. */
export function outputFormat(jsonSchema: Reader): Reader {
  const read = byType({
    ...each(['text', 'json_object'], object({ type: plain })),
    json_schema: jsonSchema,
  });
  return (value, at, found) => {
    if (objectAt(value, at)['type'] !== 'text') found.use('structuredOutput', at);
    read(value, at, found);
  };
}
