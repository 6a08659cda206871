/** Reads an OpenAI embeddings body: what it asks for, field by field. */
import { data, each, fields, plain, readFields } from './fields.ts';
import { Findings, modelOf, type Inspection, type JsonObject } from './inspection.ts';
import { countInputs } from './prompts.ts';

const BODY = fields({
  ...each(['model', 'encoding_format', 'dimensions', 'user', 'truncate_prompt_tokens'], plain),
  // Text or tokens, counted below.
  input: data,
});

/** @throws MalformedBody */
export function inspectEmbeddings(body: JsonObject): Inspection {
  const found = new Findings();
  readFields(body, '', BODY, found);
  return {
    model: modelOf(body),
    stream: false,
    uses: found.uses,
    n: 1,
    answers: 1,
    maxOutputTokens: null,
    unknownFields: found.unknownFields,
    mediaParts: found.mediaParts,
    messages: countInputs(body['input'], 'input'),
    tools: false,
  };
}
