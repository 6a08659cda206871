/** What the demo model's OpenAI operations share: reading a request, and errors. */
import type { z } from 'zod';
import { DEMO_MODEL, tokenize } from './model-reply.ts';
import { firstComplaint, type JsonAnswer } from './model-wire.ts';

/** Reads a request, or says what is wrong with it. `body` is undefined when it was not JSON. */
export function readRequest<T extends { model: string }>(
  schema: z.ZodType<T>,
  body: unknown,
): { request: T } | { refused: JsonAnswer } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return {
      refused: openaiError(400, 'We could not parse the JSON body of your request.', null, null),
    };
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) return { refused: complaintOf(parsed.error, body) };
  if (parsed.data.model !== DEMO_MODEL) {
    const message = `The model \`${parsed.data.model}\` does not exist or you do not have access to it.`;
    return { refused: openaiError(404, message, null, 'model_not_found') };
  }
  return { request: parsed.data };
}

/** An error in OpenAI's shape. */
export function openaiError(
  status: number,
  message: string,
  param: string | null,
  code: string | null,
): JsonAnswer {
  return { status, body: { error: { message, type: 'invalid_request_error', param, code } } };
}

function complaintOf(error: z.ZodError, body: object): JsonAnswer {
  const { path, missing, message } = firstComplaint(error, body);
  const param = path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join('');
  return missing
    ? openaiError(
        400,
        `Missing required parameter: '${param}'.`,
        param,
        'missing_required_parameter',
      )
    : openaiError(400, `Invalid value for '${param}': ${message}.`, param, 'invalid_value');
}

/** One input of those operations that take text or tokens. */
export type Input = string | number[];

/** One input, or a list of them, as a list. */
export function inputsOf(input: string | (number | Input)[]): Input[] {
  if (typeof input === 'string') return [input];
  const isOne = input.every((item) => typeof item === 'number');
  return isOne ? [input] : (input as Input[]);
}

export function tokensIn(input: Input): number {
  return typeof input === 'string' ? tokenize(input).length : input.length;
}
