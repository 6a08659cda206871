import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DEMO_MODEL } from './model-reply.ts';
import type { Answer } from './model-wire.ts';
import { inputsOf, readRequest, tokensIn, type Input } from './openai-request.ts';

const tokensSchema = z.array(z.int().min(0)).min(1);

const embeddingsSchema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), tokensSchema, z.array(z.union([z.string(), tokensSchema])).min(1)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).max(4096).nullish(),
});

const USUAL_DIMENSIONS = 256;

/** Answers `POST /v1/embeddings`: equal inputs have equal vectors, and that is all that these know. */
export function answerEmbeddings(body: unknown): Answer {
  const read = readRequest(embeddingsSchema, body);
  if ('refused' in read) return read.refused;
  const { input, encoding_format, dimensions } = read.request;
  const inputs = inputsOf(input);
  const data = inputs.map((one, index) => {
    const vector = vectorOf(one, dimensions ?? USUAL_DIMENSIONS);
    const embedding =
      encoding_format === 'base64'
        ? Buffer.from(vector.buffer).toString('base64')
        : Array.from(vector);
    return { object: 'embedding', index, embedding };
  });
  const tokens = inputs.reduce((sum, one) => sum + tokensIn(one), 0);
  return {
    status: 200,
    body: {
      object: 'list',
      data,
      model: DEMO_MODEL,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    },
  };
}

/** A vector of length 1 whose direction is drawn by a hash of the input. */
function vectorOf(input: Input, dimensions: number): Float32Array {
  const bytes = createHash('shake256', { outputLength: 2 * dimensions })
    .update(JSON.stringify(input))
    .digest();
  const raw = Array.from({ length: dimensions }, (_, i) => bytes.readInt16LE(2 * i));
  const length = Math.hypot(...raw) || 1;
  return Float32Array.from(raw, (value) => value / length);
}
