/** Reads the body of a count of tokens: a prompt that nobody answers. */
import { fields } from './fields.ts';
import type { Inspection, JsonObject } from './inspection.ts';
import { PROMPT, inspectPrompt } from './messages.ts';

const BODY = fields(PROMPT);

/** @throws MalformedBody */
export function inspectCountTokens(body: JsonObject): Inspection {
  return inspectPrompt(body, BODY);
}
