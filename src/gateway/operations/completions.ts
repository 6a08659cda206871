/** `POST /v1/completions` */
import { inspectCompletions } from '../../core/scope/completions.ts';
import type { JsonObject } from '../../core/scope/inspection.ts';
import { openai } from '../dialects/openai.ts';
import { askForUsage, chunkScanner, chunkUsage } from './chunk-stream.ts';
import type { ProxiedOperation } from './operation.ts';

/** What this API makes where nothing is said; compatible servers may go on for ever. */
const USUAL_OUTPUT_TOKENS = 16;

export const completions: ProxiedOperation = {
  name: 'completions',
  dialect: openai,
  path: '/v1/completions',
  query: {},
  charges: 'input and output',
  inspect: inspectCompletions,
  prepare(body, { maxOutputTokens }) {
    const prepared: JsonObject = { ...body };
    prepared['max_tokens'] ??= Math.min(USUAL_OUTPUT_TOKENS, maxOutputTokens);
    askForUsage(prepared);
    return prepared;
  },
  scanner: chunkScanner,
  usageOf: chunkUsage,
};
