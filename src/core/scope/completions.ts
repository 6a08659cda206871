/** Reads an OpenAI completions body: what it asks for, field by field. */
import { data, each, fields, plain, readFields, uses } from './fields.ts';
import {
  Findings,
  countAt,
  modelOf,
  streamOf,
  type Inspection,
  type JsonObject,
} from './inspection.ts';
import { SAMPLING, STEERING, STREAM, usesUnless } from './openai-fields.ts';
import { countInputs } from './prompts.ts';

const BODY = fields({
  ...SAMPLING,
  ...STEERING,
  ...STREAM,
  ...each(['model', 'max_tokens', 'n', 'best_of', 'echo', 'suffix', 'user'], plain),
  // Text or tokens, counted below.
  prompt: data,
  // A number here: 0 asks for them, too.
  logprobs: usesUnless(false, 'logprobs'),
  prompt_logprobs: uses('logprobs'),
});

/** @throws MalformedBody */
export function inspectCompletions(body: JsonObject): Inspection {
  const found = new Findings();
  readFields(body, '', BODY, found);
  // Without one, the model begins with nothing.
  const prompts = countInputs(body['prompt'] ?? '', 'prompt');
  // So many are made of each prompt, whatever comes back of them.
  const made = Math.max(countAt(body, 'n') ?? 1, countAt(body, 'best_of') ?? 1);
  return {
    model: modelOf(body),
    stream: streamOf(body),
    uses: found.uses,
    n: made,
    answers: made * prompts,
    maxOutputTokens: isForPrompt(body) ? 0 : countAt(body, 'max_tokens'),
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
    messages: prompts,
    tools: false,
  };
}

/**
 * Whether only the prompt is wanted back, with its log probabilities. Without `echo`, 0 is no count: some servers take
 * it for no limit.
 */
function isForPrompt(body: JsonObject): boolean {
  return body['max_tokens'] === 0 && body['echo'] === true;
}
